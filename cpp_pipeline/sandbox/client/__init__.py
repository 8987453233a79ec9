"""Clients of the controller. An error of the infrastructure is an exception or `Result.error`, never a score."""

from cpp_pipeline.sandbox.client.async_client import AsyncSandboxClient
from cpp_pipeline.sandbox.client.resilience import SandboxUnavailable
from cpp_pipeline.sandbox.client.sync_client import Options, SandboxClient

__all__ = ["AsyncSandboxClient", "Options", "SandboxClient", "SandboxUnavailable"]

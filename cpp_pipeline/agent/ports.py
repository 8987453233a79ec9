"""What the agent needs from the world: a model that completes, a sandbox that judges.

Belongs here: protocols and their errors. Does not belong here: anything that fulfils them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cpp_pipeline.sandbox.types import CMakeJob, CMakeResult, Finding, Job, Result


class PromptTooLongError(ValueError):
    """A prompt leaves the model no room for an answer."""


class CodeModel(Protocol):
    """Whatever completes a prompt."""

    def complete(self, prompt: str, n: int, seed: int) -> list[str]:
        """`n` completions of a prompt, without its end token; PromptTooLongError when it leaves no room."""
        ...


class Sandbox(Protocol):
    """The part of `sandbox.client.SandboxClient` that the agent uses."""

    def verify(self, job: Job) -> Result:
        """Judge one job."""
        ...

    def batch_verify(self, jobs: Sequence[Job]) -> list[Result]:
        """Judge jobs; results in their order."""
        ...

    def cmake(self, job: CMakeJob) -> CMakeResult:
        """Judge a CMakeLists.txt."""
        ...

    def analyze(self, code: str, kind: str) -> list[Finding]:
        """Find problems in code."""
        ...

"""The sandbox as a resource: a controller somewhere, or one that this process starts."""

from __future__ import annotations

import atexit
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache

import dagster as dg

from cpp_pipeline.sandbox.client import SandboxClient, SandboxUnavailable
from cpp_pipeline.sandbox.local import local_controller

_REMEDY = "`cpp-pipeline doctor` says what this machine lacks; SANDBOX_URL may name a controller elsewhere."


@cache
def _own_controller(workers: int) -> str:
    """Start one controller a process: its precompiled header costs seconds."""
    stack = ExitStack()
    atexit.register(stack.close)
    return str(stack.enter_context(local_controller(workers=workers)))


class SandboxResource(dg.ConfigurableResource[None]):
    """Judges candidates through the HTTP API of a controller."""

    url: str = ""
    """Controller to use; empty starts one on loopback."""
    token: str = ""
    workers: int = 0

    def address(self) -> str:
        """The controller's URL; starts the local one when none is set.

        Raises
        ------
        SandboxUnavailable
            This machine cannot isolate or compile; says why and what to do.
        """
        try:
            return self.url or _own_controller(self.workers)
        except SandboxUnavailable as error:
            raise SandboxUnavailable(f"{error}\n  {_REMEDY}") from error

    @contextmanager
    def client(self) -> Iterator[SandboxClient]:
        """A connected client."""
        with SandboxClient(self.address(), token=self.token or None) as client:
            yield client

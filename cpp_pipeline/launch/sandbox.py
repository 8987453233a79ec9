"""The sandbox as a resource: a controller somewhere, or one that this process starts."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import dagster as dg
import httpx

from cpp_pipeline.sandbox.client import SandboxClient, SandboxUnavailable
from cpp_pipeline.sandbox.local import local_controller

_REMEDY = "`cpp-pipeline doctor` says what this machine lacks; SANDBOX_URL may name a controller elsewhere."
_HEALTH_SECONDS = 10.0


class _OwnController:
    """The one controller of this process; its precompiled header costs seconds, so it is kept until the exit."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stack = ExitStack()
        self._url = ""
        self._owner = 0
        atexit.register(self._close)

    def address(self, workers: int, backend: str) -> str:
        """Its URL; starts it when there is none or when it no longer answers. The arguments count at the start only."""
        with self._lock:
            if not self._url or self._owner != os.getpid() or not _answers(self._url):
                self._close()
                self._stack, self._owner = ExitStack(), os.getpid()
                self._url = self._stack.enter_context(local_controller(workers=workers, backend=backend))
            return self._url

    def _close(self) -> None:
        self._url = ""
        if self._owner == os.getpid():  # a forked child does not stop its parent's
            self._stack.close()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", timeout=_HEALTH_SECONDS, trust_env=False).status_code == 200
    except httpx.TimeoutException:
        return True  # busy; one that has ended refuses the connection
    except httpx.TransportError:
        return False


_own = _OwnController()


class SandboxResource(dg.ConfigurableResource[None]):
    """Judges candidates through the HTTP API of a controller."""

    url: str = ""
    """Controller to use; empty starts one on loopback."""
    token: str = ""
    workers: int = 0
    backend: str = "auto"
    """Isolation of a controller that is started here, see `sandbox.isolation.choose`."""

    def address(self) -> str:
        """The controller's URL; starts the local one when none is set.

        Raises
        ------
        SandboxUnavailable
            This machine cannot isolate or compile; says why and what to do.
        """
        try:
            return self.url or _own.address(self.workers, self.backend)
        except SandboxUnavailable as error:
            raise SandboxUnavailable(f"{error}\n  {_REMEDY}") from error

    @contextmanager
    def client(self) -> Iterator[SandboxClient]:
        """A connected client."""
        with SandboxClient(self.address(), token=self.token or None) as client:
            yield client

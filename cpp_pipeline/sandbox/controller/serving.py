"""Serving until told to stop, and stopping without losing what is at work.

Belongs here: the server process: socket, signals, drain. Not here: the application (`controller`).
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
import time
from types import FrameType
from typing import NoReturn

import uvicorn

from cpp_pipeline.sandbox.controller.app import create_app
from cpp_pipeline.sandbox.controller.service import Service

DRAIN_SECONDS = 20.0
_WATCH_SECONDS = 0.5
_SWITCH_SECONDS = 0.001


class _Server(uvicorn.Server):
    """On SIGTERM refuses new work, and stops when nobody waits for an answer.

    When the time for that is over, what is left is answered with an error, which the client takes elsewhere.
    """

    def __init__(self, config: uvicorn.Config, service: Service, drain_seconds: float) -> None:
        super().__init__(config)
        self._service, self._drain_seconds = service, drain_seconds
        self._until: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if sig == signal.SIGTERM and self._until is None:
            self._service.draining = True
            self._until = time.monotonic() + self._drain_seconds
        else:
            super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        if self._until is not None and time.monotonic() >= self._until:
            await asyncio.to_thread(self._service.close)
            self.should_exit = True
        elif self._until is not None and self._service.idle():
            self.should_exit = True
        return await super().on_tick(counter)


def stop_on_sigterm() -> None:
    """Make SIGTERM an exception, so that a start that is cut short cleans up too."""
    signal.signal(signal.SIGTERM, _stop)


def die_with_parent() -> None:
    """Send this process SIGTERM when the one that started it ends; nobody is left to wait for, so a second follows."""
    threading.Thread(target=_watch_parent, args=(os.getppid(),), daemon=True).start()


def open_socket(host: str, port: int) -> socket.socket:
    """A bound socket; port 0 takes a free one. Raises OSError."""
    server = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((host, port))
    except BaseException:
        server.close()
        raise
    return server


def serve(service: Service, server: socket.socket, drain_seconds: float = DRAIN_SECONDS) -> None:
    """Serve on a bound socket until SIGTERM or SIGINT; prints the address as its first line."""
    # the event loop has to get its turn between threads that hand out work, so that refusals are quick
    sys.setswitchinterval(_SWITCH_SECONDS)
    server.listen(1024)
    host, port = server.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    config = uvicorn.Config(create_app(service), log_level="warning", access_log=False, timeout_graceful_shutdown=2)
    print(f"listening http://{shown}:{port}", flush=True)
    _Server(config, service, drain_seconds).run(sockets=[server])


def _stop(number: int, _: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def _watch_parent(parent: int) -> None:
    # not PR_SET_PDEATHSIG: it fires when the starting *thread* ends, which in a worker pool is too early
    while os.getppid() == parent:
        time.sleep(_WATCH_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_WATCH_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)

"""A controller on this machine for as long as a block runs."""

from __future__ import annotations

import selectors
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

import cpp_pipeline
from cpp_pipeline.sandbox.client import SandboxUnavailable

_START_SECONDS = 240.0
_STOP_SECONDS = 20.0


@contextmanager
def local_controller(
    workers: int = 0, bwrap: str = "bwrap", backend: str = "auto", cache: Path | str | None = None
) -> Iterator[str]:
    """Start a controller on loopback, yield its address, stop it at the end; it ends with this process.

    Parameters
    ----------
    workers : int
        Boxes side by side; 0 means one a core.
    bwrap : str
        Program of the bubblewrap backend.
    backend : str
        Isolation; "auto" takes the first that holds on this machine.
    cache : Path or str, optional
        Folder of verdicts of earlier runs, or "none"; None takes the one of the settings.

    Raises
    ------
    SandboxUnavailable
        It did not start, or this machine cannot isolate; the message says why.
    """
    argv = [sys.executable, "-m", "cpp_pipeline.sandbox", "serve", "--port", "0"]
    argv += ["--workers", str(workers), "--bwrap", bwrap, "--backend", backend, "--die-with-parent"]
    argv += ["--drain-seconds", "0"]  # what is at work when the block ends, nobody waits for
    if cache is not None:
        argv += ["--cache", str(Path(cache).absolute() if cache != "none" else cache)]
    folder = Path(cpp_pipeline.__path__[0]).parent
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, cwd=folder)
    try:
        url = _address(process)
        ready = httpx.get(f"{url}/readyz", timeout=30, trust_env=False)
        if ready.status_code != 200:
            raise SandboxUnavailable(str(ready.json()["error"]["message"]))
        yield url
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _address(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    deadline = time.monotonic() + _START_SECONDS
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        if not selector.select(max(0.0, deadline - time.monotonic())):
            raise SandboxUnavailable(f"the controller did not start within {_START_SECONDS:g} s")
    line = process.stdout.readline().decode("utf-8", "replace").strip()
    if not line.startswith("listening "):
        code = process.poll()
        raise SandboxUnavailable(f"the controller did not start (exit {code}): {line or 'see its log above'}")
    return line.removeprefix("listening ")

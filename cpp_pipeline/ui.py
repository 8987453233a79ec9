"""The Dagster UI of one root: webserver, daemon and code location, begun and ended together.

Belongs here: how they are started, and that nothing of them is left. Does not belong here: what they show (`defs/`).
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType

from cpp_pipeline.main_job import dagster_instance, environment
from cpp_pipeline.models.presets import preset as known_preset
from cpp_pipeline.storage.assets import repo_dumps
from cpp_pipeline.storage.dumps import dumps
from cpp_pipeline.storage.store import Store

HOST = "127.0.0.1"
PATIENCE_SECONDS = 10.0
INTERRUPTS = 4
"""Of a run that is at work, which then ends as failed. One may come where a run cannot be interrupted, and is lost."""
_PR_SET_CHILD_SUBREAPER = 36


def serve(root: str, preset: str, seed: int, port: int) -> int:
    """Show the runs and data of a root until Ctrl-C or SIGTERM; returns the exit code of `dagster dev`, 0 if stopped.

    The registered dumps are partitions before the UI opens. Runs that are launched from it inherit root, preset and
    seed through the environment.

    Raises
    ------
    ValueError
        The preset is unknown, or the port is taken.
    """
    known_preset(preset)
    _check_free(port)
    with dagster_instance(root) as instance:
        instance.add_dynamic_partitions(repo_dumps.name or "", [d.name for d in dumps(Store(root))])
    os.environ.update(environment(root), CPP_PIPELINE_PRESET=preset, CPP_PIPELINE_SEED=str(seed))
    workspace = Path(__file__).resolve().parents[1] / "workspace.yaml"
    # `dagster dev` is superseded by `dg dev`, which is no part of what users install
    quiet = ["-W", "ignore:Function `dev_command` is superseded"]
    options = ["-w", str(workspace), "-h", HOST, "-p", str(port)]
    return _until_stopped([sys.executable, *quiet, "-m", "dagster", "dev", *options])


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            remedy = f"end what listens there, or choose another one, as with --port {port + 1}"
            raise ValueError(f"--port {port}: {error.strerror}; {remedy}") from None


def _until_stopped(command: list[str]) -> int:
    """Run a command in a session of its own, so that Ctrl-C reaches it once, from here, and in order."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    _adopt_orphans()
    services = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        return services.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        _end(services.pid)


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _adopt_orphans() -> None:
    """A run whose code server has ended becomes a child of this process, so that it is waited for (prctl(2))."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _end(group: int) -> None:
    """Interrupt the services, then runs that are at work, until all have ended; a second Ctrl-C kills what is left."""
    try:
        for interrupt in (os.kill, *(os.killpg,) * INTERRUPTS):
            with suppress(ProcessLookupError):
                interrupt(group, signal.SIGINT)
            if _all_ended(PATIENCE_SECONDS):
                return
    except KeyboardInterrupt:
        pass
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _all_ended(seconds: float) -> bool:
    """Wait for all children, also for those of children that have ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.1)
        except ChildProcessError:
            return True
    return False

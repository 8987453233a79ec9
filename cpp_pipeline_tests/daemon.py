"""A real Dagster daemon on a root of its own, for tests that take minutes.

Belongs here: starting and ending it, waiting for what it does. Does not belong here: an expectation.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from cpp_pipeline.main_job import dagster_home
from cpp_pipeline.storage.store import Store

WORKSPACE = Path(__file__).resolve().parents[1] / "workspace.yaml"
SOURCE = """\
// SPDX-License-Identifier: MIT
/// Returns the area of a rectangle with the given sides, number {number}.
int rectangle_area_{number}(int width, int height) {{
    int area = width * height + {number};
    return area;
}}
"""


def write_dump(folder: Path, *numbers: int) -> Path:
    """A dump of tiny files, one documented function each; equal numbers are equal functions."""
    folder.mkdir(parents=True)
    for number in numbers:
        (folder / f"area_{number}.cpp").write_text(SOURCE.format(number=number))
    return folder


def write_archive(path: Path, *numbers: int) -> Path:
    """A dump that is one tar."""
    with tarfile.open(path, "w") as archive:
        archive.add(write_dump(path.with_suffix(""), *numbers), "inside")
    return path


class Place:
    """A folder with a root, its Dagster home and an inbox."""

    def __init__(self, folder: Path) -> None:
        self.root, self.inbox, self.log = folder / "root", folder / "inbox", folder / "daemon.log"
        self.inbox.mkdir()
        self.store = Store(str(self.root))
        self.home = dagster_home(str(self.root))

    def arrive(self, name: str, *numbers: int) -> None:
        """Copy a dump into the inbox as people do: under another name first."""
        write_dump(self.inbox / f"_{name}", *numbers).rename(self.inbox / name)

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """The instance that the daemon works for."""
        with dg.DagsterInstance.from_config(str(self.home)) as found:
            yield found

    @contextmanager
    def daemon(self, *, watching: bool) -> Iterator[None]:
        """Run the daemon meanwhile; `watching` lets sensors and schedule run from the start."""
        inherited = {k: v for k, v in os.environ.items() if k != "SANDBOX_URL"}
        env = {
            **inherited,
            "DAGSTER_HOME": str(self.home),
            "CPP_PIPELINE_ROOT": str(self.root),
            "CPP_PIPELINE_PRESET": "smoke",
            "CPP_PIPELINE_INBOX": str(self.inbox) if watching else "",
            "CPP_PIPELINE_INBOX_SETTLED_SECONDS": "2",
        }
        command = [sys.executable, "-m", "dagster._daemon", "run", "-w", str(WORKSPACE)]
        with self.log.open("wb") as out:
            process = subprocess.Popen(
                command, stdout=out, stderr=subprocess.STDOUT, env=env, cwd=self.root, start_new_session=True
            )
        try:
            yield
        finally:
            _end(process)

    def wait(self, what: Callable[[], bool], seconds: float) -> None:
        """Wait until it is so; on time-out fail with the end of the daemon's log."""
        deadline = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < deadline, self.log.read_text()[-8000:]
            time.sleep(2)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the daemon, its code server and its runs: the process group that it leads."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.terminate()
    deadline = time.monotonic() + 30
    while _lives(process.pid) and time.monotonic() < deadline:
        process.poll()
        time.sleep(0.5)
    if _lives(process.pid):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True

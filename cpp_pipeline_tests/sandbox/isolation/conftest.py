"""Every backend that this machine can run, and a program of ours to run in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cpp_pipeline.sandbox.isolation import Backend, Box, BoxResult, Limits
from cpp_pipeline.sandbox.isolation.choose import open_backend

Guest = Callable[..., BoxResult]


def open_or_skip(name: str, folder: Path) -> Backend:
    """The backend; a missing one is skipped only where it is optional."""
    if name == "gvisor" and shutil.which("runsc") is None:
        pytest.skip("runsc is not installed (apt-get install runsc); gVisor is optional")
    if name != "bubblewrap" and os.geteuid() != 0:
        pytest.skip(f"{name} needs root")
    return open_backend(name, folder)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user can reach, as a service has one."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="session", params=["bubblewrap", "landlock", "gvisor"])
def boxes(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """One proven backend after the other."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        backend = open_or_skip(request.param, Path(name))
        yield backend
        backend.close()


@pytest.fixture(scope="session")
def program() -> Iterator[Path]:
    """`guest.c`, compiled by the host: it is ours."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        built = Path(name, "guest")
        source = Path(__file__).with_name("guest.c")
        subprocess.run(["cc", "-O1", "-w", "-o", built, source], check=True)
        yield built


@pytest.fixture
def guest(boxes: Backend, program: Path) -> Guest:
    """Runs one behaviour of `guest.c` in a box."""

    def run(*words: object, limits: Limits | None = None, **more: object) -> BoxResult:
        argv = ["/box/guest", *map(str, words)]
        return boxes.run(Box(argv, limits or Limits(), readonly=[(str(program), "/box/guest")], **more))  # type: ignore[arg-type]

    return run

"""The process's own controller: one, alive, and started again when it has ended."""

import os
import signal
import time
from pathlib import Path

from cpp_pipeline.launch.sandbox import SandboxResource
from cpp_pipeline.sandbox.types import Job

HEAD = "int solve(int a)"
JOB = Job("j", f"{HEAD} {{ return a; }}", HEAD, [{"args": [1], "expected": 1}])


def controllers() -> list[int]:
    """Controllers that are children of this process and have not ended."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (folder / "stat").read_text().rsplit(")", 1)[1].split()[:2]
            command = (folder / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(parent) == os.getpid() and state != "Z" and b"cpp_pipeline.sandbox" in command:
            found.append(int(folder.name))
    return found


def test_a_controller_that_ended_is_started_again() -> None:
    resource = SandboxResource(workers=1)
    before = set(controllers())
    url = resource.address()
    assert resource.address() == url
    own = set(controllers()) - before
    assert len(own) <= 1
    if not own:  # started by an earlier test of this process
        own = before
    for pid in own:
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while set(controllers()) & own and time.monotonic() < deadline:
        time.sleep(0.05)
    with resource.client() as client:
        assert client.verify(JOB).verdict == "AC"
    assert len(set(controllers()) - own) >= 1
    assert resource.address() != url

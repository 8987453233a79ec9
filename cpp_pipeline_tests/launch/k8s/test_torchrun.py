"""A group of processes ends with the code of the one that failed, by which a Job decides about another attempt."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from cpp_pipeline.launch.k8s.manifest import DO_NOT_RETRY, STOPPED, TORCHRUN, worker_command
from cpp_pipeline.launch.k8s.shapes import shape

WORKER = """
import os, sys, time
if os.environ["LOCAL_RANK"] == "1":
    {act}
time.sleep({left})
"""


@pytest.mark.slow  # each starts a group of processes that import torch
@pytest.mark.parametrize(
    ("act", "left", "code"),
    [
        (f"sys.exit({max(DO_NOT_RETRY)})", 60, max(DO_NOT_RETRY)),
        ("os.kill(os.getpid(), 9)", 60, 128 + 9),
        ("pass", 0, 0),
    ],
)
def test_the_code_of_the_process_that_failed(tmp_path: Path, act: str, left: int, code: int) -> None:
    script = tmp_path / "worker.py"
    script.write_text(WORKER.format(act=act, left=left))
    command = [sys.executable, *TORCHRUN[1:], "--standalone", "--nproc-per-node=2", str(script)]
    scratch = os.environ | {"TMPDIR": str(tmp_path)}  # torchrun leaves a folder there
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=scratch)
    assert done.returncode == code, done.stderr[-2000:]
    assert ("process 1 of this machine failed" in done.stderr) == (code != 0)


def test_nodes_meet_at_the_first_one_by_index_and_end_as_if_stopped_when_it_is_lost(tmp_path: Path) -> None:
    """Whichever begins first. By rank is decided who writes, and by index whose output is kept."""
    told = (
        "import os, time; print(os.environ['RANK'], os.environ['WORLD_SIZE'], os.getpid(), flush=True); time.sleep(60)"
    )
    (tmp_path / "told.py").write_text(told)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = worker_command("told", [], shape("cpu+nodes=2"), "job")
    environment = os.environ | {"TMPDIR": str(tmp_path), "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}

    def start(index: int) -> subprocess.Popen[str]:
        named = [part.replace("$(JOB_COMPLETION_INDEX)", str(index)) for part in command[1:]]
        # names that only a cluster resolves
        found = [p.replace("job-0.job:29400", f"127.0.0.7:{port}").replace("job-0.job", "127.0.0.7") for p in named]
        given = [sys.executable, *(p.replace("job-1.job", "127.0.0.8") for p in found)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(given, **pipes, text=True, env=environment)  # type: ignore[call-overload, no-any-return]

    nodes = [start(index) for index in (1, 0)][::-1]
    try:
        said = [list(map(int, node.stdout.readline().split())) for node in nodes]  # type: ignore[union-attr]
        assert [(rank, world) for rank, world, _ in said] == [(0, 2), (1, 2)]
        for process in (nodes[0].pid, said[0][2]):
            os.kill(process, signal.SIGKILL)
        _, errors = nodes[1].communicate(timeout=120)
        assert nodes[1].returncode == STOPPED and "where all had met is lost" in errors, errors[-2000:]
    finally:
        for node in nodes:
            node.kill()
            node.communicate()

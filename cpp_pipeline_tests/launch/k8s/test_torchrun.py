"""A group of processes ends with the code of the one that failed, by which a Job decides about another attempt."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from cpp_pipeline.launch.k8s.manifest import DO_NOT_RETRY, TORCHRUN, worker_command
from cpp_pipeline.launch.k8s.shapes import shape

WORKER = """
import os, sys, time
if os.environ["LOCAL_RANK"] == "1":
    {act}
time.sleep({left})
"""


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


def test_nodes_meet_at_the_first_one_and_their_ranks_are_their_indexes(tmp_path: Path) -> None:
    """Whichever begins first; by rank is decided who writes, and by index whose output is kept."""
    (tmp_path / "told.py").write_text("import os; print('rank', os.environ['RANK'], 'of', os.environ['WORLD_SIZE'])")
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
        return subprocess.Popen(given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)

    nodes = {index: start(index) for index in (1, 0)}
    said = {index: process.communicate(timeout=120) for index, process in nodes.items()}
    assert {i: out for i, (out, _) in said.items()} == {0: "rank 0 of 2\n", 1: "rank 1 of 2\n"}, said

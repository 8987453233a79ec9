"""A group of processes ends with the code of the one that failed, by which a Job decides about another attempt."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cpp_pipeline.launch.k8s.manifest import DO_NOT_RETRY, TORCHRUN

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

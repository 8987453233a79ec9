"""Intermediate files go with their process, however it ends."""

import os
import subprocess
import sys
from pathlib import Path

SHOW = "from cpp_pipeline.storage.scratch import scratch_folder; print(scratch_folder(), flush=True); "


def process(temporary: Path, then: str) -> subprocess.Popen[str]:
    env = {**os.environ, "TMPDIR": str(temporary)}
    return subprocess.Popen([sys.executable, "-c", SHOW + then], env=env, stdout=subprocess.PIPE, text=True)


def folder_of(running: subprocess.Popen[str]) -> Path:
    assert running.stdout is not None
    return Path(running.stdout.readline().strip())


def test_the_next_process_removes_what_a_killed_one_left_and_leaves_a_living_one_alone(tmp_path: Path) -> None:
    sleep = "import time; time.sleep(60)"
    with process(tmp_path, sleep) as killed, process(tmp_path, sleep) as living:
        left, used = folder_of(killed), folder_of(living)
        killed.kill()
        killed.wait()
        assert left.is_dir()
        with process(tmp_path, "") as third:
            own = folder_of(third)
        assert not left.exists()
        assert used.is_dir()
        assert not own.exists()  # it ended by itself
        living.kill()

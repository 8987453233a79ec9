"""The minutes of a run are added up by folder, those of several processes too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TEST = "import time\n\ndef test_one():\n    assert time.time() > 0\n\ndef test_two():\n    assert time.time() > 0\n"


def test_every_folder_is_told_with_its_tests(tmp_path: Path) -> None:
    tests = tmp_path / "cpp_pipeline_tests"
    for folder in ("corpus", "curate", "."):
        (tests / folder).mkdir(parents=True, exist_ok=True)
        (tests / folder / f"test_{folder.replace('.', 'top')}.py").write_text(TEST)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "cpp_pipeline_tests.minutes", "-n", "2", str(tests)]
    command += ["-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    table = done.stdout.split("minutes by folder")[1].splitlines()[1:]
    told = {line.split()[0]: int(line.split()[1]) for line in table if line.endswith(" min")}
    assert told == {"corpus": 2, "curate": 2, "(top)": 2, "together": 6}

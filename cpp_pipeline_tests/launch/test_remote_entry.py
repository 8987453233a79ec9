"""The command in a pod: inputs come, output goes, signals pass, and one attempt's result counts."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cpp_pipeline.launch.remote_entry import DO_NOT_RETRY

TRAIN = """
import json, pathlib, signal, sys, time
data, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
stop = []
signal.signal(15, lambda *a: stop.append(1))
log = out / "log"
done = len(log.read_text()) if log.exists() else 0
print("from", done, flush=True)
for step in range(done, int(data.read_text())):
    time.sleep(0.05)
    with log.open("a") as f: f.write("x")
    if stop: sys.exit(143)
(out / "result.json").write_text(json.dumps({"steps": len(log.read_text())}))
"""


def command(tmp_path: Path, *worker: str, flags: tuple[str, ...] = ()) -> list[str]:
    """The entry with the input `data`; steps of 0.05 s as many as the file says."""
    entry = [sys.executable, "-m", "cpp_pipeline.launch.remote_entry", "--job", str(tmp_path / "job")]
    given = worker or (sys.executable, "-c", TRAIN, "@input/data", "@output")
    return [*entry, "--sync_seconds=0.2", f"--input=data={tmp_path / 'data'}", *flags, "--", *given]


def run(tmp_path: Path, *worker: str, flags: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(tmp_path, *worker, flags=flags), capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture(autouse=True)
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    path.write_text("5")
    return path


def result(tmp_path: Path) -> dict[str, int]:
    record = json.loads((tmp_path / "job" / "result.json").read_text())
    folder = tmp_path / "job" / f"{record['attempt']:05d}" / "files"
    return dict(json.loads((folder / "result.json").read_text()))


def test_the_output_of_a_finished_command_is_committed(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr
    assert result(tmp_path) == {"steps": 5} and "from 0" in done.stdout
    again = run(tmp_path)
    assert again.returncode == 0 and "has its result already" in again.stderr and "from" not in again.stdout


def test_a_stopped_command_goes_on_where_it_was(tmp_path: Path, data: Path) -> None:
    data.write_text("60")
    process = subprocess.Popen(command(tmp_path), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "from 0\n"
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 143
    assert not (tmp_path / "job" / "result.json").exists()
    reached = len((tmp_path / "job" / "00001" / "files" / "log").read_text())
    done = run(tmp_path)
    assert reached > 0 and f"from {reached}" in done.stdout
    assert result(tmp_path) == {"steps": 60}


def test_a_killed_command_goes_on_from_its_last_copy(tmp_path: Path, data: Path) -> None:
    data.write_text("60")
    process = subprocess.Popen(command(tmp_path), stdout=subprocess.PIPE, text=True)
    copied = tmp_path / "job" / "00001" / "mirror.json"
    deadline = time.monotonic() + 30
    # The first copy may be one of an empty folder.
    while not (copied.exists() and json.loads(copied.read_text())["files"].get("log")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    done = run(tmp_path)
    assert "from 0" not in done.stdout and result(tmp_path) == {"steps": 60}


def test_a_finished_command_that_was_ended_before_its_commit_is_not_run_again(tmp_path: Path) -> None:
    assert run(tmp_path).returncode == 0
    (tmp_path / "job" / "result.json").unlink()
    done = run(tmp_path)
    assert done.returncode == 0 and "from" not in done.stdout and result(tmp_path) == {"steps": 5}


def test_a_result_counts_whatever_ends_the_command_afterwards(tmp_path: Path) -> None:
    late = TRAIN + "import os; os.kill(os.getpid(), 9)"
    assert run(tmp_path, sys.executable, "-c", late, "@input/data", "@output").returncode == 0
    assert result(tmp_path) == {"steps": 5}


def test_the_exit_code_is_the_command_s(tmp_path: Path) -> None:
    assert run(tmp_path, sys.executable, "-c", "raise SystemExit(7)").returncode == 7
    assert not (tmp_path / "job" / "result.json").exists()


def test_success_without_a_result_is_refused(tmp_path: Path) -> None:
    done = run(tmp_path, sys.executable, "-c", "pass")
    assert done.returncode == DO_NOT_RETRY and "left no result.json" in done.stderr


def test_a_missing_input_is_named(tmp_path: Path, data: Path) -> None:
    data.unlink()
    done = run(tmp_path)
    assert done.returncode == DO_NOT_RETRY and str(data) in done.stderr


def test_parts_have_results_of_their_own(tmp_path: Path) -> None:
    for part in ("0", "1"):
        assert run(tmp_path, flags=(f"--part={part}",)).returncode == 0
    assert sorted(p.parent.name for p in (tmp_path / "job" / "parts").glob("*/result.json")) == ["00000", "00001"]


def test_only_the_first_node_writes(tmp_path: Path) -> None:
    assert run(tmp_path, flags=("--node=1",)).returncode == 0
    assert not (tmp_path / "job").exists()

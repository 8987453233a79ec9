"""The command in a pod: inputs come, output goes, signals pass, and one attempt's result counts."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from upath import UPath

from cpp_pipeline.launch import remote_files as files
from cpp_pipeline.launch.k8s.manifest import STOPPED
from cpp_pipeline.launch.remote_entry import DO_NOT_RETRY, PUT_ASIDE
from cpp_pipeline.storage.place import at

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


IN_EVERY_STORAGE = pytest.mark.parametrize("root", ["local", "gcs"], indirect=True)
IN_A_BUCKET = pytest.mark.parametrize("root", ["gcs"], indirect=True)


@pytest.fixture
def root(request: pytest.FixtureRequest, tmp_path: Path) -> UPath:
    """A storage root, of this machine or in a bucket, with the input `data`."""
    in_bucket = getattr(request, "param", "local") == "gcs"
    root = UPath(request.getfixturevalue("bucket") if in_bucket else tmp_path / "root")
    steps(root, 5)
    return root


def steps(root: UPath, count: int) -> None:
    at(root / "data").write(str(count).encode())


def command(root: UPath, *worker: str, flags: tuple[str, ...] = ()) -> list[str]:
    """The entry with the input `data`; steps of 0.05 s as many as the file says."""
    entry = [sys.executable, "-m", "cpp_pipeline.launch.remote_entry", "--job", str(root / "job")]
    given = worker or (sys.executable, "-c", TRAIN, "@input/data", "@output")
    return [*entry, "--sync_seconds=0.2", f"--input=data={root / 'data'}", *flags, "--", *given]


def run(root: UPath, *worker: str, flags: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(root, *worker, flags=flags), capture_output=True, text=True, check=False, timeout=60)


def stored(root: UPath, name: str) -> str | None:
    content = at(root / "job" / name).read()
    return None if content is None else content.decode()


def result(root: UPath) -> dict[str, int]:
    attempt = json.loads(stored(root, "result.json") or "{}")["attempt"]
    return dict(json.loads(stored(root, f"{attempt:05d}/files/result.json") or "{}"))


@IN_EVERY_STORAGE
def test_the_output_of_a_finished_command_is_committed(root: UPath) -> None:
    done = run(root)
    assert done.returncode == 0, done.stderr
    assert result(root) == {"steps": 5} and "from 0" in done.stdout
    again = run(root)
    assert again.returncode == 0 and "has its result already" in again.stderr and "from" not in again.stdout


def test_nothing_is_left_on_the_machine(root: UPath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    assert run(root).returncode == 0
    assert list(scratch.iterdir()) == []


@IN_A_BUCKET
def test_a_stopped_command_goes_on_where_it_was(root: UPath) -> None:
    steps(root, 60)
    process = subprocess.Popen(command(root), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "from 0\n"
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 143
    assert stored(root, "result.json") is None
    reached = len(stored(root, "00001/files/log") or "")
    done = run(root)
    assert reached > 0 and f"from {reached}" in done.stdout
    assert result(root) == {"steps": 60}


@IN_A_BUCKET
def test_a_killed_command_goes_on_from_its_last_copy(root: UPath) -> None:
    steps(root, 60)
    process = subprocess.Popen(command(root), stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    # The first copy may be one of an empty folder.
    while '"log"' not in (stored(root, "00001/mirror.json") or "") and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    done = run(root)
    assert "from 0" not in done.stdout and result(root) == {"steps": 60}


def test_a_finished_command_that_was_ended_before_its_commit_is_not_run_again(root: UPath) -> None:
    assert run(root).returncode == 0
    at(root / "job" / "result.json").delete()
    done = run(root)
    assert done.returncode == 0 and "from" not in done.stdout and result(root) == {"steps": 5}


def test_a_result_counts_whatever_ends_the_command_afterwards(root: UPath) -> None:
    late = TRAIN + "import os; os.kill(os.getpid(), 9)"
    assert run(root, sys.executable, "-c", late, "@input/data", "@output").returncode == 0
    assert result(root) == {"steps": 5}


def test_the_exit_code_is_the_command_s(root: UPath) -> None:
    assert run(root, sys.executable, "-c", "raise SystemExit(7)").returncode == 7
    assert stored(root, "result.json") is None


def test_success_without_a_result_is_refused(root: UPath) -> None:
    done = run(root, sys.executable, "-c", "pass")
    assert done.returncode == DO_NOT_RETRY and "left no result.json" in done.stderr


@IN_EVERY_STORAGE
def test_a_missing_input_is_named(root: UPath) -> None:
    at(root / "data").delete()
    done = run(root)
    assert done.returncode == DO_NOT_RETRY and str(root / "data") in done.stderr


@IN_EVERY_STORAGE
def test_parts_have_results_of_their_own(root: UPath) -> None:
    for part in ("0", "1"):
        assert run(root, flags=(f"--part={part}",)).returncode == 0
    assert [stored(root, f"parts/{n:05d}/result.json") is not None for n in range(3)] == [True, True, False]


def node(root: UPath, *worker: str, **flags: float) -> subprocess.Popen[str]:
    """Another node than the first; its pod goes on until that one has committed."""
    given = ("--node=1", *(f"--{name}={value}" for name, value in flags.items()))
    return subprocess.Popen(
        command(root, *worker, flags=given), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def until(process: subprocess.Popen[str], words: str) -> None:
    """Read what a process says until it says so."""
    assert process.stdout is not None
    said = []
    late = threading.Timer(60, process.kill)
    late.start()
    for line in process.stdout:
        said.append(line)
        if words in line:
            late.cancel()
            return
    raise AssertionError("".join(said))


@IN_EVERY_STORAGE
def test_another_node_writes_nothing_and_ends_when_the_first_has_committed(root: UPath) -> None:
    other = node(root)
    until(other, "waiting until node 0 has committed")
    assert at(root / "job").names() == [] and other.poll() is None
    assert run(root).returncode == 0
    assert other.wait(30) == 0
    late = node(root)
    until(late, "has its result already")
    assert late.wait(30) == 0


def test_another_node_takes_part_again_when_the_first_begins_anew(root: UPath) -> None:
    """Node 0 was lost between the end of the command and its commit: its replacement is not left alone."""
    files.claim(root / "job", {"pod": "lost"})
    other = node(root)
    until(other, "waiting until node 0 has committed")
    files.claim(root / "job", {"pod": "its replacement"})
    until(other, "taking part again")
    until(other, "from 5")  # the command runs once more
    assert run(root).returncode == 0
    assert other.wait(30) == 0


def test_another_node_is_not_kept_in_a_command_whose_result_is_there(root: UPath) -> None:
    other = node(root, sys.executable, "-c", "import time; print('alone', flush=True); time.sleep(60)")
    until(other, "alone")
    assert run(root).returncode == 0
    assert other.wait(30) == 0


def test_another_node_waits_for_so_long_and_is_then_replaced(root: UPath) -> None:
    other = node(root, peer_seconds=0.5)
    until(other, "error: node 0 has committed nothing for 0.5 s")
    assert other.wait(30) == PUT_ASIDE == STOPPED


def test_a_failure_of_another_node_is_one_unless_the_result_is_there(root: UPath) -> None:
    broken = (sys.executable, "-c", "raise SystemExit(7)")
    assert run(root, *broken, flags=("--node=1",)).returncode == 7
    assert run(root).returncode == 0
    assert run(root, *broken, flags=("--node=1",)).returncode == 0


@IN_EVERY_STORAGE
def test_of_two_attempts_at_one_time_one_result_counts_and_is_whole(root: UPath) -> None:
    both = [subprocess.Popen(command(root), stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=60)[1] for process in both]
    codes = [process.returncode for process in both]
    assert 0 in codes and set(codes) <= {0, 1}, said
    assert result(root) == {"steps": 5}
    record = json.loads(stored(root, "result.json") or "{}")
    for name, size in record["files"].items():
        assert at(root / "job" / f"{record['attempt']:05d}" / "files" / name).size() == size

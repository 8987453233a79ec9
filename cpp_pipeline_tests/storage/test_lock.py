"""One run at a time on a root."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cpp_pipeline.storage.lock import alone, among_others, unlock
from cpp_pipeline.storage.store import Store
from cpp_pipeline_tests.gcs.fixtures import objects

HOLD = """
import sys
from cpp_pipeline.storage.lock import {kind}
from cpp_pipeline.storage.store import Store
with {kind}(Store(sys.argv[1]), lambda words: print(words, flush=True)):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(params=["local", "gcs"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "root") if request.param == "local" else f"{request.getfixturevalue('bucket')}/root"


def start(root: str, kind: str) -> subprocess.Popen[bytes]:
    code = HOLD.format(kind=kind)
    return subprocess.Popen([sys.executable, "-c", code, root], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def line(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().decode().strip()


def hold(root: str, kind: str = "alone") -> subprocess.Popen[bytes]:
    other = start(root, kind)
    assert line(other) == "held"
    return other


def test_a_second_run_is_refused_until_the_first_ends(root: str) -> None:
    other = hold(root)
    try:
        with pytest.raises(RuntimeError, match=f"another run is working on {root}"), alone(Store(root)):
            pass
    finally:
        other.communicate(b"")
    with alone(Store(root)):
        pass
    with pytest.raises(KeyError), alone(Store(root)):
        raise KeyError("a run that fails frees it too")
    with alone(Store(root)):
        pass


def test_the_lock_of_a_killed_run_on_a_bucket_says_whose_it_is_and_how_to_free_it(bucket: str) -> None:
    other = hold(bucket)
    other.kill()
    other.communicate()
    with (
        pytest.raises(RuntimeError, match=rf"process {other.pid} on .* UTC.*cpp-pipeline unlock --root {bucket}"),
        alone(Store(bucket)),
    ):
        pass
    assert f"process {other.pid} on " in unlock(Store(bucket))
    assert unlock(Store(bucket)) == ""
    with alone(Store(bucket)):
        assert list(objects(bucket)) == [".lock"]
    assert objects(bucket) == {}


def test_a_run_whose_lock_was_taken_away_leaves_that_of_the_next_one(bucket: str) -> None:
    with alone(Store(bucket)):
        unlock(Store(bucket))
        other = hold(bucket)
    try:
        assert json.loads(objects(bucket)[".lock"])["pid"] == other.pid
    finally:
        other.communicate(b"")


def test_a_local_root_is_free_when_its_process_was_killed(tmp_path: Path) -> None:
    other = hold(str(tmp_path))
    other.kill()
    other.communicate()
    assert unlock(Store(str(tmp_path))) == ""
    with alone(Store(str(tmp_path))):
        assert (tmp_path / ".lock").exists()


@pytest.mark.parametrize(("first", "second"), [("alone", "among_others"), ("among_others", "alone")])
def test_a_run_and_steps_of_other_runs_wait_for_each_other(tmp_path: Path, first: str, second: str) -> None:
    before = hold(str(tmp_path), first)
    after = start(str(tmp_path), second)
    try:
        assert line(after).startswith("waiting for ")
        before.communicate(b"")
        assert line(after) == "held"
    finally:
        before.kill()
        after.communicate(b"")


def test_steps_share_a_root_and_a_run_is_not_held_up_by_steps_that_come_after_it(tmp_path: Path) -> None:
    step, other_step = (hold(str(tmp_path), "among_others") for _ in range(2))
    run = start(str(tmp_path), "alone")
    try:
        assert line(run).startswith("waiting for steps of the Dagster UI")
        late = start(str(tmp_path), "among_others")
        assert line(late).startswith("waiting for `cpp-pipeline run`")
        step.communicate(b"")
        other_step.communicate(b"")
        assert line(run) == "held"
        run.communicate(b"")
        assert line(late) == "held"
        late.communicate(b"")
    finally:
        for process in (step, other_step, run):
            process.kill()


def test_the_steps_of_the_run_that_has_a_root_to_itself_wait_for_nobody(tmp_path: Path) -> None:
    told: list[str] = []
    with alone(Store(str(tmp_path)), told.append), among_others(Store(str(tmp_path)), told.append):
        assert told == []
    with among_others(Store(str(tmp_path)), told.append):
        assert told == []

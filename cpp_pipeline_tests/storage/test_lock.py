"""One run at a time on a root."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cpp_pipeline.storage.lock import alone, unlock
from cpp_pipeline.storage.store import Store
from cpp_pipeline_tests.gcs.fixtures import objects

HOLD = """
import sys
from cpp_pipeline.storage.lock import alone
from cpp_pipeline.storage.store import Store
with alone(Store(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(params=["local", "gcs"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "root") if request.param == "local" else f"{request.getfixturevalue('bucket')}/root"


def hold(root: str) -> subprocess.Popen[bytes]:
    other = subprocess.Popen([sys.executable, "-c", HOLD, root], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout is not None and other.stdout.readline() == b"held\n"
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

"""`dumps add` and `dumps remove` tell the Dagster instance of the root, and say which one."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, SensorInstigatorData
from typer.testing import CliRunner

from cpp_pipeline.cli import app
from cpp_pipeline.main_job import dagster_instance
from cpp_pipeline.storage.watch import known_dumps


@pytest.fixture(autouse=True)
def _no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "a.cpp").write_text("int f() { return 1; }\n")
    return folder


def dumps(root: Path | str, *arguments: str) -> str:
    """What `cpp-pipeline dumps` says when all is well."""
    done = CliRunner().invoke(app, ["dumps", *arguments, "--root", str(root)])
    assert done.exit_code == 0, done.output
    return done.output


def in_dagster(root: Path | str) -> set[str]:
    with dagster_instance(str(root)) as instance:
        return known_dumps(instance)


def test_a_root_that_dagster_does_not_know_gets_no_instance(dump: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    assert "`cpp-pipeline run` or `cpp-pipeline ui` makes a partition of it" in dumps(
        root, "add", str(dump), "--name", "a"
    )
    assert "no Dagster instance knew it" in dumps(root, "remove", "a")
    assert not (root / ".dagster").exists()


def test_the_instance_of_a_root_knows_a_new_dump_at_once_and_a_removed_one_no_more(dump: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    assert in_dagster(root) == set()
    home = str(root / ".dagster")
    assert f"a partition in the Dagster instance {home}" in dumps(root, "add", str(dump), "--name", "a")
    assert f"2 partitions in the Dagster instance {home}" in dumps(
        root, "add", str(dump), "--name", "b", "--shards", "2"
    )
    assert in_dagster(root) == {"a", "b-0001-of-0002", "b-0002-of-0002"}
    assert f"known to the Dagster instance {home} before" in dumps(root, "add", str(dump), "--name", "a")
    assert f"removed b, and its 2 partitions in the Dagster instance {home}" in dumps(root, "remove", "b")
    assert in_dagster(root) == {"a"}


def test_dagster_home_names_the_instance(dump: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    assert f"the Dagster instance {home}" in dumps(tmp_path / "root", "add", str(dump), "--name", "a")
    assert in_dagster(tmp_path / "root") == {"a"}
    assert not (tmp_path / "root" / ".dagster").exists()


def test_a_home_that_is_not_there_is_told_before_anything_is_written(
    dump: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "nowhere"))
    done = CliRunner().invoke(app, ["dumps", "add", str(dump), "--name", "a", "--root", str(tmp_path / "root")])
    assert done.exit_code != 0
    assert "DAGSTER_HOME=" in str(done.exception) and "make it" in str(done.exception)
    assert not (tmp_path / "root").exists()


def test_of_a_bucket_the_sensor_of_its_cluster_is_named(dump: Path, bucket: str) -> None:
    added = dumps(bucket, "add", str(dump), "--name", "a")
    assert "DAGSTER_HOME is not set" in added and "sensor `new_dumps`" in added
    removed = dumps(bucket, "remove", "a")
    assert "DAGSTER_HOME is not set" in removed and "sensor `new_dumps`" in removed


@pytest.mark.parametrize(
    ("status", "seconds_ago", "left"),
    [
        (InstigatorStatus.RUNNING, 30, True),
        (InstigatorStatus.DECLARED_IN_CODE, 30, True),
        (InstigatorStatus.STOPPED, 30, False),
        (InstigatorStatus.RUNNING, 3600, False),  # the daemon has ended meanwhile
    ],
)
def test_a_sensor_that_is_at_work_is_left_to_start_the_data_stages(
    dump: Path, tmp_path: Path, status: InstigatorStatus, seconds_ago: int, left: bool
) -> None:
    origin = RemoteInstigatorOrigin(
        RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("cpp_pipeline"), "__repository__"), "new_dumps"
    )
    data = SensorInstigatorData(last_tick_timestamp=time.time() - seconds_ago)
    with dagster_instance(str(tmp_path / "root")) as instance:
        instance.add_instigator_state(InstigatorState(origin, InstigatorType.SENSOR, status, data))
    told = dumps(tmp_path / "root", "add", str(dump), "--name", "a")
    assert ("within a minute" in told) == left
    assert in_dagster(tmp_path / "root") == (set() if left else {"a"})

"""Tables and folders appear whole or not at all, and carry what they were made from."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cpp_pipeline.schemas import TABLES
from cpp_pipeline.storage.parquet import content_version
from cpp_pipeline.storage.place import Refused, at
from cpp_pipeline.storage.scratch import scratch_file
from cpp_pipeline.storage.store import JOB_DAYS, Provenance, Store

LISTING = TABLES["repo_dump"]


@pytest.fixture(params=["local", "gcs"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A storage root of this machine, or in a bucket."""
    return Store(str(tmp_path) if request.param == "local" else f"{request.getfixturevalue('bucket')}/some/root")


def stamp(asset: str, partition: str | None = None, version: str = "v") -> Provenance:
    return Provenance(asset, partition, "code", "config", "inputs", version, 1)


def listing(*paths: str) -> pl.LazyFrame:
    return LISTING.frame([{"dump": "d", "path": p, "size_bytes": 1, "sha256": p} for p in paths])


def test_a_table_and_its_provenance_are_read_back(store: Store) -> None:
    store.write_table(listing("a", "b"), stamp("repo_dump", "x"))
    assert store.scan("repo_dump").collect()["path"].to_list() == ["a", "b"]
    assert store.provenance("repo_dump", "x") == stamp("repo_dump", "x")
    assert store.provenance("repo_dump", "y") is None


def test_a_file_url_is_a_local_root(tmp_path: Path) -> None:
    Store(f"file://{tmp_path}").write_table(listing("a"), stamp("repo_dump", "x"))
    assert Store(str(tmp_path)).partitions("repo_dump") == ["x"]


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_any_number_of_partitions_reads_as_one_frame(store: Store, count: int) -> None:
    for i in range(count):
        store.write_table(listing(f"f{i}"), stamp("repo_dump", f"p{i}"))
    frame = store.scan("repo_dump")
    assert frame.collect_schema() == LISTING.schema
    assert frame.collect()["path"].to_list() == [f"f{i}" for i in range(count)]


def test_a_failing_writer_leaves_the_old_table(store: Store) -> None:
    path = store.write_table(listing("old"), stamp("repo_dump", "x"))

    def explode(frame: pl.DataFrame) -> pl.DataFrame:
        raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        store.write_table(listing("new").map_batches(explode), stamp("repo_dump", "x"))
    assert at(path.parent).names() == ["x.parquet"]
    assert store.scan("repo_dump").collect()["path"].to_list() == ["old"]


def test_a_killed_writer_leaves_nothing_that_a_reader_sees(tmp_path: Path) -> None:
    script = (
        "import polars as pl, time; from cpp_pipeline.storage.store import *;"
        "from cpp_pipeline.schemas import TABLES\n"
        "def slow(frame):\n    print('writing', flush=True); time.sleep(60); return frame\n"
        f"frame = TABLES['repo_dump'].frame([dict(dump='d', path='a', size_bytes=1, sha256='')])\n"
        f"Store({str(tmp_path)!r}).write_table(frame.map_batches(slow, streamable=True),"
        "Provenance('repo_dump', 'x', '', '', '', ''))"
    )
    writer = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    assert writer.stdout.readline().strip() == b"writing"
    time.sleep(0.2)
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    store = Store(str(tmp_path))
    assert store.partitions("repo_dump") == []
    store.sweep()
    assert list((tmp_path / "tables" / "repo_dump").iterdir()) == []


def test_a_folder_is_published_with_its_provenance_and_replaces_the_old_one(store: Store) -> None:
    for version in ("one", "two"):
        work = store.work("base_checkpoint", version * 8)
        (work / "deep").mkdir()
        (work / "deep" / "weights").write_text(version)
        (work / "result.json").write_text(json.dumps({"metrics": {}}))
        store.publish("checkpoints", work, stamp("base_checkpoint", None, version))
        assert not work.exists()
    folder = store.local_folder("checkpoints", "base_checkpoint")
    assert (folder / "deep" / "weights").read_text() == "two"
    found = store.provenance("base_checkpoint")
    assert found is not None and found.data_version == "two"
    assert at(store.root / "checkpoints").names() == ["base_checkpoint"]
    assert json.loads((folder / "result.json").read_text()) == store.result("checkpoints", "base_checkpoint")
    assert at(store.folder("checkpoints", "base_checkpoint") / "deep" / "weights").read() == b"two"


def finished(store: Store, version: str) -> Path:
    work = store.work("base_checkpoint", version * 32)
    (work / "weights").write_text(version)
    (work / "result.json").write_text("{}")
    return work


def test_of_two_writers_of_a_checkpoint_the_second_is_refused(store: Store) -> None:
    assert store.folder_token("checkpoints", "base_checkpoint") == ""
    for round_ in "ab":  # of a new checkpoint, and of one that replaces another
        seen = store.folder_token("checkpoints", "base_checkpoint")
        store.publish("checkpoints", finished(store, round_), stamp("base_checkpoint", None, "first"), seen)
        late = finished(store, "c")
        with pytest.raises(Refused, match="checkpoints/base_checkpoint.*another writer.*run again"):
            store.publish("checkpoints", late, stamp("base_checkpoint", None, "second"), seen)
        folder = store.local_folder("checkpoints", "base_checkpoint")
        assert (folder / "weights").read_text() == round_
        assert store.provenance("base_checkpoint") == stamp("base_checkpoint", None, "first")
        assert late.exists()  # what it made is not lost with it


def test_of_two_writers_of_a_table_the_second_is_refused(store: Store) -> None:
    for path in "ab":
        seen = store.table_token("repo_dump", "x")
        store.write_table(listing(path), stamp("repo_dump", "x"), seen)
        with pytest.raises(Refused, match="tables/repo_dump/x.*another writer"):
            store.write_table(listing("late"), stamp("repo_dump", "x", "late"), seen)
        assert store.scan("repo_dump").collect()["path"].to_list() == [path]
        assert store.provenance("repo_dump", "x") == stamp("repo_dump", "x")


def test_a_table_is_removed_with_all_that_belongs_to_it(store: Store) -> None:
    for path in "ab":
        store.write_table(listing(path), stamp("repo_dump", "x"))
    store.write_table(listing("c"), stamp("repo_dump", "y"))
    store.delete_table("repo_dump", "x")
    store.delete_table("repo_dump", "x")
    assert store.partitions("repo_dump") == ["y"] and not store.has_table("repo_dump", "x")
    assert [n for n in at(store.root).files() if "/x" in n] == []


def test_a_scan_keeps_the_table_that_it_was_made_from_in_a_bucket(bucket: str) -> None:
    store = Store(bucket)
    store.write_table(listing("old"), stamp("repo_dump", "x"))
    frame = store.scan("repo_dump")
    store.write_table(listing("new"), stamp("repo_dump", "x"))
    assert frame.collect()["path"].to_list() == ["old"]
    assert store.scan("repo_dump").collect()["path"].to_list() == ["new"]


def test_what_checks_let_pass_is_known_of_these_data_only(store: Store) -> None:
    store.write_table(listing("a"), stamp("repo_dump", "x"))
    assert not store.is_checked("repo_dump", "x", ["one"])
    version = store.provenance("repo_dump", "x").data_version  # type: ignore[union-attr]
    store.mark_check("repo_dump", "x", "one", version, passed=True)
    store.mark_check("repo_dump", "x", "two", version, passed=True)
    assert store.is_checked("repo_dump", "x", ["one", "two"])
    assert not store.is_checked("repo_dump", "x", ["one", "three"])
    store.mark_check("repo_dump", "x", "two", version, passed=False)
    assert not store.is_checked("repo_dump", "x", ["one", "two"])
    store.write_table(listing("b"), stamp("repo_dump", "x", "v2"))
    assert not store.is_checked("repo_dump", "x", ["one"])
    assert store.is_checked("repo_dump", "x", []) and not store.is_checked("repo_dump", "y", [])


def test_an_unfinished_folder_is_not_there(store: Store) -> None:
    store.write_text("checkpoints/base_checkpoint/weights", "without a result.json")
    assert store.provenance("base_checkpoint") is None
    with pytest.raises(FileNotFoundError, match="materialize base_checkpoint first"):
        store.local_folder("checkpoints", "base_checkpoint")


def test_a_work_folder_is_found_again_by_the_same_inputs_only(store: Store) -> None:
    first = store.work("base_checkpoint", "a" * 32)
    (first / "state").write_text("step 3")
    assert (store.work("base_checkpoint", "a" * 32) / "state").exists()
    assert not (store.work("base_checkpoint", "b" * 32) / "state").exists()
    assert not first.exists()


def test_only_one_s_own_job_folder_goes_with_its_work(store: Store) -> None:
    """Of other inputs a Job may be running, for another run that will fetch its result."""
    mine, theirs = (store.job_folder(store.work("base_checkpoint", digest * 32)) for digest in "ab")
    other = store.job_folder(store.work("sft_checkpoint", "a" * 32))
    for folder in (mine, theirs, other):
        at(folder / "00001" / "mirror.json").write(b"{}")
    store.work("base_checkpoint", "a" * 32)
    assert at(theirs / "00001" / "mirror.json").read() == b"{}"  # a run with other settings has begun
    store.end_work("base_checkpoint", "a" * 32)
    assert store.place("jobs").names() == sorted([theirs.name, other.name])
    store.end_work("base_checkpoint", "b" * 32)
    assert store.place("jobs").names() == [other.name]


def test_a_job_folder_that_nobody_came_back_for_goes_in_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    left, other = (store.job_folder(store.work(name, "b" * 32)) for name in ("base_checkpoint", "sft_checkpoint"))
    for folder in (left, other):
        at(folder / "attempts" / "00001.json").write(b"{}")
    now = time.time()
    for days, names in ((JOB_DAYS - 1, [left.name, other.name]), (JOB_DAYS + 1, [other.name])):
        monkeypatch.setattr(time, "time", lambda days=days: now + days * 24 * 3600)
        store.end_work("base_checkpoint", "a" * 32)
        assert store.place("jobs").names() == names


@settings(deadline=None)
@given(st.lists(st.text(max_size=5), max_size=20))
def test_equal_rows_have_equal_versions_whatever_the_row_groups(paths: list[str]) -> None:
    frame = listing(*paths)
    one, two = scratch_file(), scratch_file()
    frame.sink_parquet(one, row_group_size=3)
    frame.sink_parquet(two, row_group_size=50_000, compression="lz4")
    assert content_version(one) == content_version(two)
    more = scratch_file()
    listing(*paths, "one more").sink_parquet(more)
    assert content_version(more) != content_version(one)

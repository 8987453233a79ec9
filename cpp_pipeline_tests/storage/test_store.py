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
from hypothesis import given
from hypothesis import strategies as st

from cpp_pipeline.schemas import TABLES
from cpp_pipeline.storage.parquet import content_version
from cpp_pipeline.storage.scratch import scratch_file
from cpp_pipeline.storage.store import Provenance, Store

LISTING = TABLES["repo_dump"]


def stamp(asset: str, partition: str | None = None, version: str = "v") -> Provenance:
    return Provenance(asset, partition, "code", "config", "inputs", version, 1)


def listing(*paths: str) -> pl.LazyFrame:
    return LISTING.frame([{"dump": "d", "path": p, "size_bytes": 1, "sha256": p} for p in paths])


def test_a_table_and_its_provenance_are_read_back(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write_table(listing("a", "b"), stamp("repo_dump", "x"))
    assert store.scan("repo_dump").collect()["path"].to_list() == ["a", "b"]
    assert store.provenance("repo_dump", "x") == stamp("repo_dump", "x")
    assert store.provenance("repo_dump", "y") is None


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_any_number_of_partitions_reads_as_one_frame(tmp_path: Path, count: int) -> None:
    store = Store(str(tmp_path))
    for i in range(count):
        store.write_table(listing(f"f{i}"), stamp("repo_dump", f"p{i}"))
    frame = store.scan("repo_dump")
    assert frame.collect_schema() == LISTING.schema
    assert frame.collect()["path"].to_list() == [f"f{i}" for i in range(count)]


def test_a_failing_writer_leaves_the_old_table(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    path = store.write_table(listing("old"), stamp("repo_dump", "x"))

    def explode(frame: pl.DataFrame) -> pl.DataFrame:
        raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        store.write_table(listing("new").map_batches(explode), stamp("repo_dump", "x"))
    assert [p.name for p in Path(str(path)).parent.iterdir()] == ["x.parquet"]
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


def test_a_folder_is_published_with_its_provenance_and_replaces_the_old_one(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    for version in ("one", "two"):
        work = store.work("base_checkpoint", version * 8)
        (work / "weights").write_text(version)
        (work / "result.json").write_text(json.dumps({"metrics": {}}))
        store.publish("checkpoints", work, stamp("base_checkpoint", None, version))
        assert not work.exists()
    folder = store.local_folder("checkpoints", "base_checkpoint")
    assert (folder / "weights").read_text() == "two"
    found = store.provenance("base_checkpoint")
    assert found is not None and found.data_version == "two"
    assert [p.name for p in folder.parent.iterdir()] == ["base_checkpoint"]


def test_an_unfinished_folder_is_not_there(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    (tmp_path / "checkpoints" / "base_checkpoint").mkdir(parents=True)
    assert store.provenance("base_checkpoint") is None
    with pytest.raises(FileNotFoundError, match="materialize base_checkpoint first"):
        store.local_folder("checkpoints", "base_checkpoint")


def test_a_work_folder_is_found_again_by_the_same_inputs_only(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    first = store.work("base_checkpoint", "a" * 32)
    (first / "state").write_text("step 3")
    assert (store.work("base_checkpoint", "a" * 32) / "state").exists()
    assert not (store.work("base_checkpoint", "b" * 32) / "state").exists()
    assert not first.exists()


def test_a_remote_root_keeps_tables_and_folders(tmp_path: Path) -> None:
    store = Store("memory://bucket-" + tmp_path.name)
    store.write_table(listing("a"), stamp("repo_dump", "x"))
    assert store.partitions("repo_dump") == ["x"]
    assert store.provenance("repo_dump", "x") == stamp("repo_dump", "x")
    work = store.work("base_checkpoint", "c" * 32)
    (work / "deep").mkdir()
    (work / "deep" / "weights").write_text("w")
    (work / "result.json").write_text(json.dumps({"metrics": {}}))
    store.publish("checkpoints", work, stamp("base_checkpoint"))
    assert (store.local_folder("checkpoints", "base_checkpoint") / "deep" / "weights").read_text() == "w"


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

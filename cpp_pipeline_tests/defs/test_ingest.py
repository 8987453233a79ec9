"""What lies in a dump comes out as files and commits, and what cannot be read is told."""

import hashlib
import json
from pathlib import Path

import polars as pl
import pytest

from cpp_pipeline.defs.ingest import commits, repo_dump, source_files
from cpp_pipeline.dumps.bundled import build
from cpp_pipeline.storage.dumps import add_dump
from cpp_pipeline_tests.defs.support import Bench

CODE = "/// Half of a number.\nint half(int x) {\n    return x / 2;\n}\n"


@pytest.fixture
def folder(bench: Bench, tmp_path: Path) -> Path:
    """A hand-made dump without git, registered as `one`."""
    found = tmp_path / "dump"
    (found / "src").mkdir(parents=True)
    (found / "src" / "half.cpp").write_text(CODE)
    (found / "notes.txt").write_text("not code\n")
    add_dump(bench.store, found, "one")
    return found


def test_a_dump_is_listed_with_the_hash_of_every_file(bench: Bench, folder: Path) -> None:
    listed = bench.in_memory(repo_dump, partition="one")["repo_dump"]
    assert listed["path"].to_list() == ["notes.txt", "src/half.cpp"]
    assert set(listed["dump"]) == {"one"}
    assert listed["sha256"].to_list()[1] == hashlib.sha256(CODE.encode()).hexdigest()
    assert listed["size_bytes"].to_list()[1] == len(CODE)


def test_source_files_are_the_code_of_the_dump(bench: Bench, folder: Path) -> None:
    found = bench.in_memory(source_files, partition="one")
    assert found["source_files"].select("dump", "path", "language", "content").rows() == [
        ("one", "src/half.cpp", "cpp", CODE)
    ]
    assert found["source_files_quarantine"].is_empty()


def test_a_file_that_is_no_text_is_quarantined_with_its_name(bench: Bench, folder: Path) -> None:
    (folder / "blob.cpp").write_bytes(b"\x00\x01\x02" * 100)
    found = bench.in_memory(source_files, partition="one")
    assert found["source_files"]["path"].to_list() == ["src/half.cpp"]
    quarantined = found["source_files_quarantine"].row(0, named=True)
    assert "blob.cpp" in quarantined["row_id"] + quarantined["detail"]
    assert quarantined["reason"]


def test_a_dump_without_history_has_no_commits(bench: Bench, folder: Path) -> None:
    found = bench.in_memory(commits, partition="one")
    assert (found["commits"].height, found["commits_quarantine"].height) == (0, 0)


def test_commits_of_a_clone_have_both_sides(bundled: dict[str, pl.DataFrame]) -> None:
    found = bundled["commits"]
    assert found.height > 0
    assert set(found["dump"]) == {"bundled"}
    assert found.filter(pl.col("before") == pl.col("after")).is_empty()
    assert (found["message"].str.len_chars() > 0).all()
    now = bundled["source_files"].select("repo", "path", newest="content")
    newest = found.sort("time").unique(["repo", "path"], keep="last").join(now, on=["repo", "path"])
    assert newest.height > 0
    assert newest["after"].to_list() == newest["newest"].to_list()


def test_repairs_that_others_collected_come_with_their_place(bench: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "collected"
    folder.mkdir()
    good = {"title": "Halve, not double", "body": "", "before": CODE.replace("/ 2", "* 2"), "after": CODE}
    lines = [json.dumps(good), json.dumps({**good, "after": None})]
    (folder / "repairs.jsonl").write_text("".join(line + "\n" for line in lines))
    add_dump(bench.store, folder, "one")
    made = bench.in_memory(commits, partition="one")
    assert made["repairs"].select("dump", "place", "title", "after").rows() == [
        ("one", "repairs.jsonl:1", "Halve, not double", CODE)
    ]
    (refused,) = made["repairs_quarantine"].to_dicts()
    assert "repairs.jsonl:2" in refused["detail"]


def test_two_dumps_are_two_partitions_that_do_not_mix(bench: Bench, folder: Path, tmp_path: Path) -> None:
    add_dump(bench.store, build(tmp_path / "two"), "two")
    one = bench.in_memory(source_files, partition="one")["source_files"]
    two = bench.in_memory(source_files, partition="two")["source_files"]
    assert (set(one["dump"]), set(two["dump"])) == ({"one"}, {"two"})
    assert "src/half.cpp" not in two["path"].to_list()


def test_a_dump_that_is_gone_is_named(bench: Bench, folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))
    with pytest.raises(FileNotFoundError, match=str(folder)):
        bench.in_memory(repo_dump, partition="one")

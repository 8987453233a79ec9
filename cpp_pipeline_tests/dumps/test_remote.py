"""Dumps in object stores: the same rows as from a folder, nothing downloaded to list them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import fsspec
import polars as pl
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from cpp_pipeline.dumps import remote
from cpp_pipeline.dumps.history import read_commits
from cpp_pipeline.dumps.listing import list_dump
from cpp_pipeline.dumps.reading import read_files
from cpp_pipeline.dumps.registry import detect_kind
from cpp_pipeline.dumps.repairs import read_repairs
from cpp_pipeline.dumps.splitting import split
from cpp_pipeline_tests.dumps import repositories
from cpp_pipeline_tests.dumps.test_shards import archive, jsonl, lines, parquet, tree


@pytest.fixture
def bucket() -> Iterator[MemoryFileSystem]:
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pseudo_dirs[:] = [""]
    yield system
    system.store.clear()


def mixed(root: Path) -> Path:
    """A collection: a source tree, a clone, a group of clones, an archive, JSONL, and a manifest."""
    tree(root / "trees")
    repositories.make(root / "clone", [{"a.cc": b"int a;\n"}, {"a.cc": b"int b;\n"}])
    repositories.make(root / "group" / "bare", [{"c.cc": b"int c;\n"}, {"c.cc": b"int d;\n"}], bare=True)
    archive(root / "packed")
    for item in sorted((root / "packed").rglob("*"), reverse=True):
        item.rmdir() if item.is_dir() else item.unlink()
    (root / "packed").rmdir()
    (root / "data").mkdir()
    (root / "data" / "one.jsonl").write_text(lines(30))
    (root / "manifest.json").write_text(json.dumps({"licence": "mit"}))
    (root / "trees" / "link.h").unlink()
    return root


def upload(system: MemoryFileSystem, path: Path) -> str:
    system.put(str(path), "memory://bucket/d" if path.is_dir() else f"memory://bucket/{path.name}", recursive=True)
    return "memory://bucket/d" if path.is_dir() else f"memory://bucket/{path.name}"


def rows(path: Path | str, scratch: Path) -> list[list[tuple[object, ...]]]:
    readers = (read_files, read_commits, read_repairs)
    return [sorted(f.collect().rows()) for reader in readers for f in reader(path, "d", scratch)]


@pytest.mark.parametrize("make", [mixed, tree, archive, jsonl, parquet])
def test_a_bucket_reads_like_the_folder(make: object, tmp_path: Path, scratch: Path, bucket: MemoryFileSystem) -> None:
    path = make(tmp_path / "dump")  # type: ignore[operator]
    if path.is_dir():
        for link in (p for p in path.rglob("*") if p.is_symlink()):
            link.unlink()
    url = upload(bucket, path)
    assert detect_kind(url) == detect_kind(path)
    expected = rows(path, scratch / "local")
    assert expected[0]
    assert rows(url, scratch / "bucket") == expected
    assert rows(path.as_uri(), scratch / "uri") == expected
    assert not list((scratch / "bucket").glob("unpacked-*"))


def test_shards_of_a_bucket(tmp_path: Path, scratch: Path, bucket: MemoryFileSystem) -> None:
    url = upload(bucket, mixed(tmp_path / "dump"))
    whole = rows(url, scratch / "whole")
    for count in (4, 7):
        shards, _ = split(url, count)
        frames = [read_files(url, "d", scratch / f"{count}-{s.index}", s) for s in shards]
        for number in (0, 1):
            assert sorted(pl.concat([f[number].collect() for f in frames]).rows()) == whole[number]


def test_a_listing_downloads_nothing_and_changes_with_an_object(
    tmp_path: Path, scratch: Path, bucket: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = upload(bucket, mixed(tmp_path / "dump"))
    with monkeypatch.context() as patch:
        for method in ("open", "cat", "cat_file", "get", "get_file"):
            patch.setattr(MemoryFileSystem, method, None)
        before = list_dump(url, "d", scratch).collect()
    assert "data/one.jsonl" in before["path"].to_list()
    assert list_dump(url, "d", scratch).collect().equals(before)
    bucket.pipe(f"{url}/trees/src/part1.cc", b"int changed;\n")
    changed = list_dump(url, "d", scratch).collect()
    assert changed.filter(changed["sha256"] != before["sha256"])["path"].to_list() == ["trees/src/part1.cc"]


def test_what_is_not_there_and_what_nothing_serves(bucket: MemoryFileSystem) -> None:
    with pytest.raises(FileNotFoundError, match="nothing lies at memory"):
        detect_kind("memory://bucket/nothing")
    with pytest.raises(ValueError, match="nosuch://x cannot be read"):
        detect_kind("nosuch://x")


def test_names_that_climb_out_are_refused(tmp_path: Path, scratch: Path, bucket: MemoryFileSystem) -> None:
    bucket.store["/bucket/d/src/../../../up.cc"] = bucket.open("/bucket/d/src/ok.cc", "wb")
    bucket.pipe("/bucket/d/src/ok.cc", b"int ok;\n")
    bucket.store["/bucket/d/src/../../../up.cc"] = bucket.store["/bucket/d/src/ok.cc"]
    files, bad = (f.collect() for f in read_files("memory://bucket/d", "d", scratch))
    assert files["path"].to_list() == ["src/ok.cc"]
    assert not list(tmp_path.rglob("up.cc"))
    assert set(bad["reason"]) <= {"archive member that climbs out with '..'"}


def test_a_disk_that_is_too_small_is_named_with_the_need(tmp_path: Path) -> None:
    with pytest.raises(remote.NoRoom, match=r"gs://x takes 1000000.0 GB of scratch space and .* set TMPDIR"):
        remote.need_room(tmp_path / "later", 10**15, "gs://x")

"""Registered dumps: whole ones, URLs, and those that are cut into shards."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import fsspec
import polars as pl
import pytest

from cpp_pipeline.dumps.reading import read_files
from cpp_pipeline.storage.dumps import Dump, add_dump, add_shards, dump, dumps, fingerprint, named, remove_dump
from cpp_pipeline.storage.store import Store

WORK = """
import sys
from pathlib import Path
from cpp_pipeline.dumps.reading import read_files
from cpp_pipeline.storage.currency import Recipe, inputs_digest, is_current, stamp
from cpp_pipeline.storage.dumps import dumps
from cpp_pipeline.storage.store import Store

store, scratch, wait = Store(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
recipe = Recipe("source_files", (), "code", "")
for d in dumps(store):
    if not is_current(store, recipe, d.name):
        frame, _ = read_files(d.path, d.name, scratch, d.shard)
        store.write_table(frame, stamp(recipe, d.name, inputs_digest(store, recipe, d.name), d.name, None))
        print(d.name, flush=True)
        if d.name in wait:
            frame, _ = read_files(d.path, d.name, scratch, d.shard)
            sys.stdin.read()
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "root"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i in range(9):
        (tmp_path / "dump" / f"r{i}" / "src").mkdir(parents=True)
        (tmp_path / "dump" / f"r{i}" / "src" / "a.cc").write_text(f"int a{i};\n")
    return tmp_path / "dump"


def test_a_group_is_added_found_and_removed_as_one(store: Store, folder: Path) -> None:
    (folder.parent / "other.cc").write_text("int o;\n")
    add_dump(store, folder.parent / "dump" / "r1", "other")
    shards, words = add_shards(store, folder, "big", 4)
    names = [f"big-000{i}-of-0004" for i in (1, 2, 3, 4)]
    assert [d.name for d in shards] == names
    assert "9 repositories" in words
    assert [d.name for d in dumps(store)] == [*names, "other"]
    assert dump(store, names[2]) == shards[2]
    assert add_shards(store, folder, "big", 4)[0] == shards
    assert named(store, [folder]) == [(name, folder) for name in names]
    assert add_dump(store, folder, names[1]) == shards[1]
    with pytest.raises(ValueError, match="already registered for .*, cut into 4; take that away .*remove big"):
        add_shards(store, folder, "big", 5)
    with pytest.raises(ValueError, match="cut into 4"):
        add_dump(store, folder, "big")
    assert remove_dump(store, "big") == names
    assert [d.name for d in dumps(store)] == ["other"]
    with pytest.raises(KeyError, match="no dump 'big'"):
        remove_dump(store, "big")


def test_a_whole_dump_is_not_cut_behind_its_back(store: Store, folder: Path) -> None:
    add_dump(store, folder, "big")
    with pytest.raises(ValueError, match="registered whole; take it away first"):
        add_shards(store, folder, "big", 3)
    with pytest.raises(ValueError, match="not allowed"):
        add_shards(store, folder, "x" * 95, 3)
    assert [d.group for d in dumps(store)] == [""]


def test_a_dump_that_was_registered_before_there_were_shards_is_read(store: Store, folder: Path) -> None:
    store.write_text("dumps/old.json", f'{{"name": "old", "path": "{folder}", "kind": "folder"}}')
    assert dumps(store) == [Dump("old", str(folder), "folder")]


def test_a_url_is_kept_as_it_is_and_its_objects_are_its_fingerprint(store: Store) -> None:
    system = fsspec.filesystem("memory")
    system.pipe("/b/d/src/a.cc", b"int a;\n")
    url = "memory://b/d"
    try:
        assert add_dump(store, url + "/", "far").path == url
        assert named(store, [url]) == [("far", url)]
        before = fingerprint(url)
        assert fingerprint(url) == before
        system.pipe("/b/d/src/b.cc", b"int b;\n")
        assert fingerprint(url) != before
    finally:
        system.rm("/b", recursive=True)


def test_after_a_kill_only_the_unfinished_shards_are_made(store: Store, folder: Path, tmp_path: Path) -> None:
    names = [d.name for d in add_shards(store, folder, "big", 3)[0]]
    (tmp_path / "scratch").mkdir()
    command = [sys.executable, "-c", WORK, str(store.root), str(tmp_path / "scratch")]
    first = subprocess.Popen([*command, names[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    assert [first.stdout.readline().strip() for _ in range(2)] == names[:2]
    time.sleep(0.1)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert again.stdout.split() == names[2:]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == ""
    whole = read_files(folder, "w", tmp_path / "scratch")[0].collect().drop("dump")
    together = pl.concat([store.scan("source_files", [name]).collect() for name in names]).drop("dump")
    assert together.sort("repo", "path").equals(whole)

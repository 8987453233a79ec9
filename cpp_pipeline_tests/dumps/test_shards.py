"""The shards of a dump together hold each of its rows once, whatever kind it is."""

from __future__ import annotations

import gzip
import json
import tarfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpp_pipeline.dumps.history import read_commits
from cpp_pipeline.dumps.jsonl import line_ranges
from cpp_pipeline.dumps.listing import list_dump
from cpp_pipeline.dumps.progress import Progress
from cpp_pipeline.dumps.reading import read_files
from cpp_pipeline.dumps.repairs import read_repairs
from cpp_pipeline.dumps.shards import WHOLE, Shard
from cpp_pipeline.dumps.splitting import split
from cpp_pipeline_tests.dumps import repositories

LICENCE = b"Boost Software License - Version 1.0"


def records(n: int) -> list[dict[str, object]]:
    found: list[dict[str, object]] = [
        {"content": f"int f{i}() {{ return {i}; }}\n", "path": f"src/f{i}.cc", "repo": f"r{i % 7}"} for i in range(n)
    ]
    found[3] = {"path": "no-text.cc"}
    found[5] = {"text": "int nameless;\n"}
    found[8] = {"title": "Fix it", "before": "int a;\n", "after": "int b;\n"}
    return found


def lines(n: int) -> str:
    return "{broken\n\n" + "".join(json.dumps(r) + "\n" for r in records(n)) + '{"content": "int last;"}'


def clones(root: Path) -> Path:
    for i in range(9):
        repositories.make(root / f"r{i}", [{f"a{i}.cc": b"int a;\n"}, {f"a{i}.cc": b"int b;\n", "LICENSE": LICENCE}])
    (root / "stray.cc").write_text("int stray;\n")
    (root / "more.jsonl").write_text(lines(40))
    return root


def tree(root: Path) -> Path:
    for folder in ("include/one", "src", "src/deep", "lib"):
        (root / folder).mkdir(parents=True)
        for i in range(8):
            (root / folder / f"part{i}.{'h' if 'include' in folder else 'cc'}").write_text(f"int {folder[0]}{i};\n")
    (root / "LICENSE").write_bytes(LICENCE)
    (root / "src" / "blob.cc").write_bytes(bytes(64))
    (root / "link.h").symlink_to("src/part1.cc")
    return root


def mirror(root: Path) -> Path:
    states = [{f"f{i}.cc": f"int f{i} = {n};\n".encode() for i in range(12)} | {"LICENSE": LICENCE} for n in range(2)]
    states[1] = {**states[0], "f3.cc": b"int f3 = 9;\n"}
    repositories.make(root, states, bare=True)
    return root


def archive(root: Path) -> Path:
    with tarfile.open(root.with_suffix(".tar.gz"), "w:gz") as packed:
        packed.add(tree(root), "proj")
    return root.with_suffix(".tar.gz")


def jsonl(root: Path) -> Path:
    root.with_suffix(".jsonl").write_text(lines(60))
    return root.with_suffix(".jsonl")


def packed_jsonl(root: Path) -> Path:
    root.with_suffix(".jsonl.gz").write_bytes(gzip.compress(lines(3_500).encode()))
    return root.with_suffix(".jsonl.gz")


def parquet(root: Path) -> Path:
    rows = [{"content": r.get("content"), "path": r.get("path"), "repo": r.get("repo")} for r in records(50)]
    pl.DataFrame(rows, schema=dict.fromkeys(("content", "path", "repo"), pl.String)).write_parquet(
        root.with_suffix(".parquet"), row_group_size=4
    )
    return root.with_suffix(".parquet")


KINDS = [clones, tree, mirror, archive, jsonl, packed_jsonl, parquet]


def rows(path: Path, scratch: Path, shard: Shard = WHOLE) -> list[pl.DataFrame]:
    """Files, commits and repairs with their quarantines."""
    readers = (read_files, read_commits, read_repairs)
    return [frame.collect() for reader in readers for frame in reader(path, "d", scratch, shard)]


@pytest.mark.parametrize("make", KINDS)
def test_the_union_of_the_shards_is_the_dump(
    make: Callable[[Path], Path], tmp_path: Path, scratch: Path, count: int = 3
) -> None:
    path = make(tmp_path / "dump")
    shards, words = split(path, count)
    assert words
    whole = rows(path, scratch / "whole")
    parts = [rows(path, scratch / str(s.index), s) for s in shards]
    assert len(whole[0]) > count
    for number, expected in enumerate(whole):
        together = pl.concat([part[number] for part in parts])
        assert sorted(together.rows()) == sorted(expected.rows())
    listings = [list_dump(path, "d", scratch, s).collect() for s in shards]
    if make in (clones, jsonl, parquet):
        assert sum(len(part[0]) > 0 for part in parts) > 1
    for listing in listings:
        assert listing.equals(listing.sort("path"))


def test_what_a_shard_reads_is_in_its_listing(tmp_path: Path, scratch: Path) -> None:
    root = clones(tmp_path / "dump")
    shards, _ = split(root, 3)
    before = [list_dump(root, "d", scratch, s).collect() for s in shards]
    (root / "r4" / "new.cc").write_text("int n;\n")
    changed = [not list_dump(root, "d", scratch, s).collect().equals(b) for s, b in zip(shards, before, strict=True)]
    assert changed == [s.has_unit("r4") for s in shards]


def test_whole_repositories_are_never_cut_when_there_are_enough(tmp_path: Path, scratch: Path) -> None:
    root = clones(tmp_path / "dump")
    shards, words = split(root, 10)
    assert {s.rule for s in shards} == {"units"}
    assert "whole" in words
    found = [read_files(root, "d", scratch / str(s.index), s)[0].collect() for s in shards]
    owners = [set(frame.filter(pl.col("commit").is_not_null())["repo"]) for frame in found]
    assert sum(map(len, owners)) == len(set().union(*owners)) == 9


def test_a_header_and_its_source_stay_together(tmp_path: Path, scratch: Path) -> None:
    root = tree(tmp_path / "dump")
    for shard in split(root, 4)[0]:
        found = set(read_files(root, "d", scratch / str(shard.index), shard)[0].collect()["path"])
        for i in range(8):
            assert len({f"include/one/part{i}.h" in found, f"src/part{i}.cc" in found, f"lib/part{i}.cc" in found}) == 1


def test_a_file_that_became_shorter_is_named(tmp_path: Path, scratch: Path) -> None:
    path = jsonl(tmp_path / "dump")
    last = split(path, 4)[0][-1]
    path.write_text("{}\n")
    with pytest.raises(ValueError, match="shorter than it was when the dump was split"):
        read_files(path, "d", scratch, last)


@pytest.mark.parametrize("count", [0, 1, 10_000])
def test_a_count_that_cannot_be_is_refused(tmp_path: Path, count: int) -> None:
    with pytest.raises(ValueError, match="from 2 to 9999"):
        split(tmp_path, count)


@given(st.lists(st.text("ab", max_size=9), max_size=40), st.booleans(), st.integers(2, 9))
def test_ranges_cover_a_file_and_know_their_lines(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], ended: bool, count: int
) -> None:
    file = tmp_path_factory.getbasetemp() / "ranges.jsonl"
    data = "\n".join(texts) + "\n" * ended
    file.write_text(data)
    found = line_ranges(file, count, Progress())
    assert len(found) == count
    assert (found[0].start, found[-1].end) == (0, len(data))
    for this, after in pairwise(found):
        assert this.end == after.start
    for part in found:
        assert part.first_line == data[: part.start].count("\n") + 1
        assert part.start == 0 or part.start == len(data) or data[part.start - 1] == "\n"
    assert all(
        Shard.from_json(json.loads(json.dumps(s.to_json()))) == s for s in [Shard(1, 3, "names", {"f": found[0]})]
    )

"""Hostile dumps: nothing starts, nothing outside is read, and every refusal is told."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from cpp_pipeline.dumps.history import read_commits
from cpp_pipeline.dumps.isolated import Reader, ReaderEnded
from cpp_pipeline.dumps.items import CUT_SHORT
from cpp_pipeline.dumps.listing import list_dump
from cpp_pipeline.dumps.reading import read_files
from cpp_pipeline.dumps.repairs import read_repairs
from cpp_pipeline.schemas import TABLES as SCHEMAS
from cpp_pipeline_tests.dumps.hostile_files import ARCHIVES, CASES, TABLES
from cpp_pipeline_tests.dumps.hostile_git import CONFIGS, GOOD, OBJECTS, SECRET

WITHOUT_A_GOOD_FILE = {
    "a member below a file", "an extended header of 50 MB", "a sparse member of 4 GB", "gzip bomb", "xz bomb",
    "a stream of 400 MB from 400 kB", "the same member twice", "an xz dictionary of 1.5 GB",
    "zip of overlapping members", "zip of 2^40 members", "parquet with a damaged footer",
    "parquet with an absurd footer", "parquet with damaged pages", "parquet cut off",
    "parquet with a text of 150 MB", "parquet of 2 GB by a dictionary", "partial clone with sshCommand",
    "tree entry without a name", "a damaged pack", "a damaged pack index",
}  # fmt: skip


def read_all(dump: Path, scratch: Path) -> tuple[pl.DataFrame, pl.DataFrame, list[pl.DataFrame]]:
    """Files, their quarantine, and everything that any reader says of a dump."""
    files, bad = (frame.collect() for frame in read_files(dump, "d", scratch / "files"))
    others = [f.collect() for read in (read_commits, read_repairs) for f in read(dump, "d", scratch / "others")]
    return files, bad, [files, bad, *others, list_dump(dump, "d", scratch).collect()]


LONG = {"xz bomb", "parquet with a text of 150 MB", "a stream of 400 MB from 400 kB", "a line of three million lists"}
"""Seconds each, beside others of their kind that take less."""


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in LONG else n for n in CASES])
def test_a_hostile_dump_is_read_without_harm(name: str, tmp_path: Path, scratch: Path) -> None:
    case, reason = CASES[name]
    dump, outside = tmp_path / "dump", tmp_path / "outside"
    dump.mkdir()
    outside.mkdir()
    case(dump, outside)
    before = sorted(p.name for p in outside.iterdir())
    files, bad, everything = read_all(dump, scratch)
    assert SCHEMAS["source_files"].violations(files.lazy()) == {}
    cut = bad.filter(pl.col("detail").str.contains("the rest is not read", literal=True))
    assert set(cut["reason"]) <= set(CUT_SHORT)
    assert not (outside / "started").exists()
    assert sorted(p.name for p in outside.iterdir()) == before
    texts = [str(value) for frame in everything for row in frame.rows() for value in row]
    if case not in (c for c, _ in (*ARCHIVES.values(), *OBJECTS.values())):
        assert not any(SECRET.decode().strip() in text for text in texts)
    if reason:
        assert reason in set(bad["reason"]), bad.select("reason", "detail").rows()
    if name not in WITHOUT_A_GOOD_FILE:
        assert hashlib.sha256(GOOD).hexdigest() in set(files["sha256"]), bad.select("reason", "detail").rows()
    # What climbs out of an archive or tree is in no table, wherever it would have gone.
    assert not any(path.startswith("/") or ".." in path.split("/") for path in files["path"]) or name in TABLES
    assert not [p for p in scratch.rglob("*") if p.name.startswith("unpacked-")]


@pytest.mark.parametrize("name", [n for n in CONFIGS if n.startswith(("textconv", "diff.external", "core.fsmonitor"))])
def test_the_planted_programs_start_where_git_runs(name: str, tmp_path: Path) -> None:
    for folder in ("dump", "outside"):
        (tmp_path / folder).mkdir()
    CONFIGS[name](tmp_path / "dump", tmp_path / "outside")
    for command in (["diff", "HEAD~1", "HEAD"], ["status"]):
        subprocess.run(["git", *command], cwd=tmp_path / "dump" / "r", check=True, capture_output=True)
    assert (tmp_path / "outside" / "started").exists()


def _allocate(size: int) -> Iterator[int]:
    yield 1
    yield len(bytes(size))


def _die(number: int) -> Iterator[int]:
    yield number
    os.kill(os.getpid(), signal.SIGSEGV)


def _start(program: str) -> Iterator[int]:
    yield subprocess.run([program], check=True).returncode


def _fail(text: str) -> Iterator[int]:
    yield 1
    raise ValueError(text)


def _environment(_: int) -> Iterator[dict[str, str]]:
    yield dict(os.environ)


def test_memory_a_crash_and_an_error_cost_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", "x")
    with Reader(memory_bytes=500_000_000) as reader:
        assert list(reader.stream(_allocate, 1_000)) == [1, 1_000]
        with pytest.raises(ReaderEnded, match="more than 476 MiB of memory"):
            list(reader.stream(_allocate, 1_000_000_000))
        with pytest.raises(ReaderEnded, match="ended with signal 11"):
            list(reader.stream(_die, 7))
        with pytest.raises(ValueError, match="our own mistake"):
            list(reader.stream(_fail, "our own mistake"))
        with pytest.raises(PermissionError, match=r"subprocess\.Popen in the process that reads dumps"):
            list(reader.stream(_start, "/bin/true"))
        first = reader.stream(_allocate, 10)
        assert next(first) == 1
        first.close()  # type: ignore[attr-defined]
        assert list(reader.stream(_allocate, 10)) == [1, 10]
        assert "A_SECRET" not in next(iter(reader.stream(_environment, 0)))

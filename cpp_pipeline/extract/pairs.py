"""Documented functions of a dump as rows of `docstring_pairs`.

Belongs here: the two passes over a dump's files, and exact duplicates.
Does not belong here: what a pass does with a file (`passes.py`), the rules (`quality.py`, `joining.py`), near
duplicates (`curate/distinct.py` finishes the table).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from cpp_pipeline.dumps.progress import Progress
from cpp_pipeline.extract.functions import Bare
from cpp_pipeline.extract.joining import Candidate, Declarations, Graphs, join_key
from cpp_pipeline.extract.macros import MacroDefinitions
from cpp_pipeline.extract.passes import (
    BARE_SCHEMA,
    DECLARATION_SCHEMA,
    FILE_SCHEMA,
    QUARANTINE,
    Joined,
    Scanned,
    SourceText,
    Task,
    join,
    scan,
    unreadable,
)
from cpp_pipeline.extract.pool import Crash, cores, guarded_batches
from cpp_pipeline.extract.rows import FrameSpool, windows
from cpp_pipeline.schemas import TABLES

_BATCH_CHARACTERS = 8_000_000
"""Of each batch the rules compile a hundred regular expressions, 0.05 s of CPU time."""
_BATCH_ITEMS = 4_096
_TASK_FILES = 64
_ROWS_HELD = 4_096
_BYTES_A_WORKER = 4_000_000
"""Below it a further process costs more than it saves."""

_Item = TypeVar("_Item", SourceText, Task)
_IS_CODE = pl.col("language") != "cmake"
_NARROW = ["key", "file", "qualified_name", "is_anonymous"]
_CANDIDATE = ["parameter_types", "qualifiers", "doc_raw", "path", "doc_line"]
_BARE = [field.name for field in fields(Bare)]
_PAIR = {"definition": pl.UInt32(), "declaration": pl.UInt32()}


def repository_macros(clean_files: pl.LazyFrame) -> dict[str, str]:
    """Repository -> macros that may be blanked in its files, in one text."""
    open_: dict[str, MacroDefinitions] = defaultdict(MacroDefinitions)
    left = dict(clean_files.filter(_IS_CODE).group_by("repo").len().collect(engine="streaming").iter_rows())
    found: dict[str, str] = {}
    for row in _rows(clean_files, "repo", "content"):
        repo = row["repo"]
        open_[repo].add(row["content"])
        left[repo] -= 1
        if not left[repo]:  # its definitions are let go: those of all repositories together do not fit in memory
            found[repo] = " ".join(open_.pop(repo).transparent())
    return found


def docstring_pairs(
    clean_files: pl.LazyFrame,
    dump: str,
    scratch: Path,
    workers: int | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Documented functions of one dump, and those kept out with their reasons.

    A definition without documentation takes that of its declaration (`joining.py`). Functions without any documentation
    are no candidates and appear in neither table.

    Parameters
    ----------
    clean_files
        Rows of `clean_files` of this dump; CMake files are passed over. Read three times.
    dump
        Partition key, part of `pair_id`.
    scratch
        Folder for the tables while they are built; must outlive the frames.
    workers
        Parsing processes; None for one a core, fewer for a small dump. With 0 the parser runs in this process.
    tell
        Is told every few seconds how far the work is.

    Returns
    -------
    docstring_pairs, docstring_pairs_quarantine
        Exact duplicates (by tokens) are in the second, near duplicates still in the first.
    """
    read = clean_files.filter(_IS_CODE)
    count, size = read.select(pl.len(), pl.col("size_bytes").sum()).collect(engine="streaming").row(0)
    if workers is None:
        workers = min(cores(), 1 + size // _BYTES_A_WORKER)
    most = min(_BATCH_CHARACTERS, 1 + size // max(1, workers))
    made = _Tables(scratch)
    with made.pairs, made.quarantine:
        macros = repository_macros(clean_files)
        texts = _texts(clean_files, macros, Progress(_words(f"{dump}: functions", count, tell)))
        with made.bare, made.declarations, made.files:
            for batch, scanned in guarded_batches(partial(scan, dump), _batches(texts, most), workers):
                made.take(batch, scanned)
        tasks = _Joining(made).tasks(clean_files, macros, Progress(_words(f"{dump}: joined", None, tell)))
        for task_batch, joined in guarded_batches(partial(join, dump), _batches(tasks, most), workers):
            made.take_joined(task_batch, joined)
    return made.pairs.scan(), made.quarantine.scan()


def _words(what: str, count: int | None, tell: Callable[[str], None]) -> Callable[[int, int], None]:
    of = "" if count is None else f" of {count:,}"
    return lambda files, size: tell(f"{what}, {files:,}{of} files, {size / 1e6:,.1f} MB")


def _texts(
    clean_files: pl.LazyFrame, macros: dict[str, str], progress: Progress, numbers: pl.Series | None = None
) -> Iterator[SourceText]:
    """Files, or those of the given numbers, in order."""
    repo, known = "", tuple[str, ...]()  # files of one repository share its macros
    for row in _rows(clean_files, "repo", "path", "licence", "content", "size_bytes", numbers=numbers):
        if row["repo"] != repo:
            repo, known = row["repo"], tuple(macros[row["repo"]].split())
        yield SourceText(row["number"], repo, row["path"], row["licence"], row["content"], known)
        progress.add(row["size_bytes"])


def _rows(clean_files: pl.LazyFrame, *columns: str, numbers: pl.Series | None = None) -> Iterator[dict[str, Any]]:
    """Rows of files to read, with their number among them; all, or those of the given numbers."""
    number = 0
    for window in windows(clean_files, pl.col("size_bytes")):
        rows = window.filter(_IS_CODE).select(columns).collect().with_row_index("number", number)
        number += rows.height
        wanted = rows if numbers is None else rows.filter(pl.col("number").is_in(numbers.implode()))
        yield from wanted.iter_rows(named=True)


def _batches(items: Iterable[_Item], most: int) -> Iterator[list[_Item]]:
    batch: list[_Item] = []
    characters = 0
    for item in items:
        batch.append(item)
        characters += len(item.text if isinstance(item, SourceText) else item.file.text)
        if characters >= most or len(batch) >= _BATCH_ITEMS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


class _Tables:
    """The tables while they are built. Holds about 100 bytes a kept pair: the hash of its tokens."""

    def __init__(self, scratch: Path) -> None:
        self.pairs = FrameSpool(TABLES["docstring_pairs"].schema, scratch / "docstring_pairs.parquet")
        self.quarantine = FrameSpool(QUARANTINE, scratch / "docstring_pairs_quarantine.parquet")
        self.bare = FrameSpool(BARE_SCHEMA, scratch / "bare.parquet")
        self.declarations = FrameSpool(DECLARATION_SCHEMA, scratch / "declarations.parquet")
        self.files = FrameSpool(FILE_SCHEMA, scratch / "files.parquet")
        self._seen: set[bytes] = set()

    def take(self, batch: Sequence[SourceText], scanned: Scanned | Crash) -> None:
        """What the first pass found in a batch of files, or the one file that ended its process."""
        if isinstance(scanned, Crash):
            self._lost(batch, scanned)
            self.files.add(pl.DataFrame([(f.repo, f.path, [], "") for f in batch], FILE_SCHEMA, orient="row"))
            return
        # The key is worked out in one process: its hash need not be the same in another.
        key = join_key(pl.col("repo"), pl.col("qualified_name")).alias("key")
        self.bare.add(scanned.bare.with_columns(key))
        self.declarations.add(scanned.declarations.with_columns(key))
        self.files.add(scanned.files)
        self.quarantine.add(scanned.refused)
        self._judged(scanned.judged)

    def take_joined(self, batch: Sequence[Task], joined: Joined | Crash) -> None:
        """What the second pass made of a batch."""
        if isinstance(joined, Crash):
            self._lost([task.file for task in batch], joined)
            return
        self.quarantine.add(joined.ambiguous)
        self._judged(joined.judged)

    def _lost(self, files: Sequence[SourceText], crash: Crash) -> None:
        self.quarantine.add(pl.DataFrame([unreadable(file, crash.detail) for file in files], QUARANTINE))

    def _judged(self, rows: pl.DataFrame) -> None:
        asked = rows.select("reason", "token_sha256").iter_rows()
        first = pl.Series((reason is None and self._is_new(digest) for reason, digest in asked), dtype=pl.Boolean)
        self.pairs.add(rows.filter(first))
        self.quarantine.add(
            rows.filter(~first).select(
                row_id="pair_id",
                reason=pl.col("reason").fill_null("duplicate"),
                detail=pl.format("{}:{}:{}: ", "repo", "path", "line")
                + pl.col("detail").fill_null("same tokens as an earlier function"),
                text=(pl.col("doc_raw") + "\n" + pl.col("code")).str.slice(0, 2_000),
            )
        )

    def _is_new(self, token_sha256: str) -> bool:
        digest = bytes.fromhex(token_sha256[:32])
        if digest in self._seen:
            return False
        self._seen.add(digest)
        return True


class _Joining:
    """Which functions may be joined to which declarations; narrow columns of what shares a key."""

    def __init__(self, made: _Tables) -> None:
        declarations = made.declarations.scan()
        bare = _with_key(made.bare.scan().select("key", "file", *_BARE), declarations)
        declared = _with_key(declarations.select(*_NARROW, *_CANDIDATE), bare.lazy())
        self._declared = declared.select(_CANDIDATE)
        definitions, narrow = bare.select(_NARROW).with_row_index("definition"), declared.select(_NARROW)
        self._heads = _Asked(made.files.scan().select("heads"))
        graphs = Graphs(made.files.scan().drop("heads").collect(engine="streaming"))
        pairs = [p.select("definition", "declaration") for p in Declarations(narrow).candidates(definitions, graphs)]
        fits = pl.concat(pairs).sort("definition", "declaration") if pairs else pl.DataFrame(schema=_PAIR)
        grouped = fits.group_by("definition", maintain_order=True).agg("declaration")
        self._bare = bare[grouped["definition"]].with_columns(grouped["declaration"])

    def tasks(self, clean_files: pl.LazyFrame, macros: dict[str, str], progress: Progress) -> Iterator[Task]:
        """The files that hold such functions, in order."""
        by_file = self._bare.group_by("file", maintain_order=True).len()
        texts = _texts(clean_files, macros, progress, by_file["file"])
        start = 0
        for some in by_file.iter_slices(_TASK_FILES):
            bare = self._bare.slice(start, int(some["len"].sum()))
            start += bare.height
            wanted = zip(map(_bare, bare.to_dicts()), self._candidates(bare["declaration"]), strict=True)
            for number, length in some.iter_rows():
                file = next(texts)
                assert file.number == number
                yield Task(file, tuple(islice(wanted, length)), self._heads.at(number))
        progress.end()

    def _candidates(self, declarations: pl.Series) -> Iterator[tuple[Candidate, ...]]:
        rows = iter(self._declared[declarations.explode()].to_dicts())
        for count in declarations.list.len():
            yield tuple(
                Candidate(tuple(d["parameter_types"]), d["qualifiers"], d["doc_raw"], d["path"], d["doc_line"])
                for d in islice(rows, count)
            )


class _Asked:
    """One column of a scan that is asked for by row, in order; some thousand rows are held."""

    def __init__(self, column: pl.LazyFrame) -> None:
        self._column, self._first, self._held = column, 0, pl.Series(dtype=pl.String)

    def at(self, row: int) -> str:
        """The value in a row, which is none before the last one that was asked for."""
        if row >= self._first + len(self._held):
            self._first = row
            self._held = self._column.slice(row, _ROWS_HELD).collect().to_series()
        return str(self._held[row - self._first])


def _with_key(frame: pl.LazyFrame, others: pl.LazyFrame) -> pl.DataFrame:
    """Rows whose key stands in `others` too, in order; which they are is found on the keys alone, for memory's sake."""
    keys = others.select("key").unique()
    found = frame.select("key").with_row_index("row").join(keys, on="key", how="semi").select("row")
    rows = found.collect(engine="streaming")["row"]
    kept = frame.with_row_index("row").filter(pl.col("row").is_in(rows.implode())).drop("row")
    return kept.collect(engine="streaming")


def _bare(row: dict[str, object]) -> Bare:
    return Bare(**{name: row[name] for name in _BARE})  # type: ignore[arg-type]

"""What a worker does with a batch of files: the first pass over all, the second over those with functions to join.

Belongs here: from texts to frames, without any state between batches. Does not belong here: processes (`pool.py`), the
order of the passes and what becomes of the frames (`pairs.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import polars as pl

from cpp_pipeline.extract.functions import Bare, Declaration, Function, complete, has_torn_body, read_functions
from cpp_pipeline.extract.joining import Ambiguous, Candidate, choose
from cpp_pipeline.extract.quality import judge, reject_torn
from cpp_pipeline.extract.reading import source_of
from cpp_pipeline.extract.rows import frame_of, quarantine_row, schema_of, stable_id
from cpp_pipeline.extract.used import Head, Heads, heads_of, packed, unpacked, words_of
from cpp_pipeline.schemas import TABLES

_PLACE = {"file": pl.Int64(), "repo": pl.String(), "path": pl.String()}
BARE_SCHEMA = pl.Schema(schema_of(Bare) | _PLACE | {"key": pl.UInt64()})
DECLARATION_SCHEMA = pl.Schema(schema_of(Declaration) | _PLACE | {"key": pl.UInt64()})
FILE_SCHEMA = pl.Schema(
    {"repo": pl.String(), "path": pl.String(), "includes": pl.List(pl.String()), "heads": pl.String()}
)
QUARANTINE = TABLES["docstring_pairs_quarantine"].schema
_JUDGED = [*TABLES["docstring_pairs"].schema, "reason", "detail"]


@dataclass(frozen=True)
class SourceText:
    """One file of the dump; `number` is its place in the table."""

    number: int
    repo: str
    path: str
    licence: str | None
    text: str
    macros: tuple[str, ...]


class Scanned(NamedTuple):
    """What the first pass finds in a batch of files."""

    judged: pl.DataFrame
    """Documented functions: columns of `docstring_pairs`, `reason` and `detail`."""
    bare: pl.DataFrame
    """Functions without documentation outside their class: columns of `Bare`, repo and file (number)."""
    declarations: pl.DataFrame
    """Documented declarations: columns of `Declaration`, repo, path and file (number)."""
    files: pl.DataFrame
    """One row a file, in order: repo, path, includes, and heads where functions may be joined."""
    refused: pl.DataFrame
    """Rows of the quarantine for files that were not read."""


class Joined(NamedTuple):
    """What the second pass makes of a batch of files."""

    judged: pl.DataFrame
    ambiguous: pl.DataFrame
    """Rows of the quarantine."""


@dataclass(frozen=True)
class Task:
    """A file, and its functions that may be joined with what they may be joined to."""

    file: SourceText
    wanted: tuple[tuple[Bare, tuple[Candidate, ...]], ...]
    heads: str
    """Of the file, as the first pass has packed them."""


class _Found(NamedTuple):
    file: SourceText
    function: Function
    blanked: bytes
    doc: Candidate | None
    heads: Callable[[], Sequence[Head]]
    """Of the file."""


def scan(dump: str, files: Sequence[SourceText]) -> Scanned:
    """The first pass over a batch."""
    own: list[_Found] = []
    bare: list[tuple[SourceText, Bare]] = []
    declarations: list[tuple[SourceText, Declaration]] = []
    includes: list[tuple[str, ...]] = []
    heads: list[str] = []
    refused: list[dict[str, str]] = []
    for file in files:
        facts = read_functions(file.text, file.macros)
        includes.append(facts.includes)
        outside = [b for b in facts.bare if not b.is_in_class]
        heads.append(packed(heads_of(facts)) if outside else "")
        if facts.refused is not None:
            refused.append(unreadable(file, facts.refused))
        own += [_Found(file, f, facts.blanked, None, partial(heads_of, facts)) for f in facts.functions]
        bare += [(file, b) for b in outside]
        declarations += [(file, d) for d in facts.declarations]
    return Scanned(
        _judged(dump, own),
        frame_of(Bare, (b for _, b in bare), **_place(bare)),
        frame_of(Declaration, (d for _, d in declarations), **_place(declarations)),
        pl.DataFrame([[f.repo for f in files], [f.path for f in files], includes, heads], schema=FILE_SCHEMA),
        pl.DataFrame(refused, schema=QUARANTINE),
    )


def join(dump: str, tasks: Sequence[Task]) -> Joined:
    """The second pass over a batch: complete each function, and choose among its declarations."""
    found: list[_Found] = []
    ambiguous: list[dict[str, str]] = []
    for task in tasks:
        file = task.file
        for bare, candidates in task.wanted:
            function = complete(bare, file.text, file.macros)
            doc = choose(function.parameter_types, function.qualifiers, candidates) if function is not None else None
            if isinstance(doc, Ambiguous):
                where = ", ".join(doc.places[:8])
                detail = f"{file.repo}:{file.path}:{bare.line}: several declarations fit: {where}"
                row_id = _row_id(dump, file, bare)
                ambiguous.append(quarantine_row(row_id, "ambiguous declaration", detail, bare.qualified_name))
            elif function is not None and doc is not None:
                blanked = source_of(file.text, file.macros).blanked
                found.append(_Found(file, function, blanked, doc, partial(unpacked, task.heads)))
    return Joined(_judged(dump, found), pl.DataFrame(ambiguous, schema=QUARANTINE))


def unreadable(file: SourceText, why: str) -> dict[str, str]:
    """The quarantine row of a file that was not read."""
    place = f"{file.repo}:{file.path}"
    return quarantine_row(place, "unreadable file", f"{place}: {why}", file.text)


def _place(items: Sequence[tuple[SourceText, object]]) -> dict[str, pl.Series]:
    return pl.DataFrame([(f.number, f.repo, f.path) for f, _ in items], _PLACE, orient="row").to_dict()


def _row_id(dump: str, file: SourceText, function: Function | Bare) -> str:
    return stable_id(dump, file.repo, file.path, function.start_byte, function.qualified_name)


def _judged(dump: str, found: Sequence[_Found]) -> pl.DataFrame:
    frame = frame_of(
        Function,
        (f.function for f in found),
        dump=pl.Series([dump] * len(found), dtype=pl.String),
        repo=pl.Series([f.file.repo for f in found], dtype=pl.String),
        path=pl.Series([f.file.path for f in found], dtype=pl.String),
        licence=pl.Series([f.file.licence for f in found], dtype=pl.String),
        pair_id=pl.Series([_row_id(dump, f.file, f.function) for f in found], dtype=pl.String),
        origin=pl.Series(["own" if f.doc is None else "joined" for f in found], dtype=pl.String),
        doc_path=pl.Series([f.file.path if f.doc is None else f.doc.doc_path for f in found], dtype=pl.String),
    ).with_columns(
        pl.Series("doc_raw", [f.function.doc_raw if f.doc is None else f.doc.doc_raw for f in found], pl.String),
        pl.Series("doc_line", [f.function.doc_line if f.doc is None else f.doc.doc_line for f in found], pl.Int64),
    )
    judged = judge(frame)
    # Most functions are not kept, and a body is most of the work of parsing a function.
    kept = judged["reason"].is_null().to_list()
    torn = [keep and has_torn_body(f.function, f.blanked) for f, keep in zip(found, kept, strict=True)]
    words = frame.filter(pl.Series(kept, dtype=pl.Boolean)).select(words_of(pl.col("signature") + " " + pl.col("body")))
    uses = pl.Series("uses", list(_uses(found, kept, words.to_series())), pl.List(pl.String))
    return reject_torn(judged.with_columns(uses), pl.Series(torn, dtype=pl.Boolean)).select(_JUDGED)


def _uses(found: Sequence[_Found], kept: Sequence[bool], words: Iterable[Iterable[str]]) -> Iterator[tuple[str, ...]]:
    """What of its file each kept function names, whose words are given; the functions of a file stand together."""
    said = iter(words)
    file, heads = None, Heads((), b"")
    for f, keep in zip(found, kept, strict=True):
        if keep and f.file is not file:
            file = f.file
            heads = Heads(f.heads(), file.text.encode("utf-8", "replace"))
        yield heads.used_by(f.function.name, next(said)) if keep else ()

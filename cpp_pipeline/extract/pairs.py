"""Documented functions of a dump as rows of `docstring_pairs`.

Belongs here: the two passes over a dump's files, joining, rules and exact duplicates.
Does not belong here: near duplicates (`curate/distinct.py` finishes the table), the rules themselves.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import polars as pl

from cpp_pipeline.dumps.spool import Spool
from cpp_pipeline.extract.docs import parse_doc
from cpp_pipeline.extract.functions import FileFacts, Function, read_functions
from cpp_pipeline.extract.joining import Ambiguous, DeclarationIndex, Definition, IncludeGraph
from cpp_pipeline.extract.lexer import cyclomatic, hash_tokens, tokens
from cpp_pipeline.extract.parsing import MacroDefinitions
from cpp_pipeline.extract.pool import Crash, guarded_map
from cpp_pipeline.extract.quality import reject, score
from cpp_pipeline.extract.rows import quarantine_row, rows_of, stable_id
from cpp_pipeline.schemas import TABLES, Column, Table

_KINDS: dict[str, pl.DataType] = {
    "str": pl.String(),
    "int": pl.Int64(),
    "bool": pl.Boolean(),
    "tuple[str, ...]": pl.List(pl.String()),
}
_FUNCTIONS = Table(
    "functions",
    "Every function of a dump, on its way from parsing to joining.",
    (
        Column("repo", pl.String(), "repository"),
        Column("path", pl.String(), "file"),
        Column("licence", pl.String(), "licence of the file", nullable=True),
        *(Column(f.name, _KINDS[str(f.type)], f.name) for f in fields(Function)),
    ),
    (),
)


@dataclass(frozen=True)
class _File:
    repo: str
    path: str
    licence: str | None
    text: str
    macros: tuple[str, ...]


def _read(file: _File) -> FileFacts:
    return read_functions(file.text, file.macros)


def repository_macros(files: pl.LazyFrame) -> dict[str, tuple[str, ...]]:
    """Repository -> macros that may be blanked in its files; `files` has `repo` and `content`."""
    found: dict[str, MacroDefinitions] = defaultdict(MacroDefinitions)
    for row in rows_of(files.select("repo", "content")):
        found[row["repo"]].add(row["content"])
    return {repo: definitions.transparent() for repo, definitions in found.items()}


def _facts(files: pl.LazyFrame, workers: int) -> Iterator[tuple[_File, FileFacts | Crash]]:
    macros = repository_macros(files)
    waiting: deque[_File] = deque()

    def source() -> Iterator[_File]:
        for row in rows_of(files.select("repo", "path", "licence", "content")):
            file = _File(row["repo"], row["path"], row["licence"], row["content"], macros[row["repo"]])
            waiting.append(file)
            yield file

    for facts in guarded_map(_read, source(), workers):
        yield waiting.popleft(), facts


def _documented(function: dict[str, Any], index: DeclarationIndex) -> tuple[dict[str, Any], Ambiguous | None]:
    """The function with documentation of its own or of a declaration; empty `doc_raw` when there is none."""
    own = {"origin": "own", "doc_path": function["path"]}
    if function["doc_raw"]:
        return function | own, None
    found = index.find(
        Definition(
            function["repo"],
            function["path"],
            function["qualified_name"],
            tuple(function["parameter_types"]),
            function["is_anonymous"],
        )
    )
    if found is None or isinstance(found, Ambiguous):
        return function | own, found
    joined = {"doc_raw": found.doc_raw, "doc_path": found.doc_path, "doc_line": found.doc_line}
    return function | joined | {"origin": "joined"}, None


class _Judge:
    """Rules and exact duplicates; holds 32 bytes a kept pair."""

    def __init__(self, dump: str, pairs: Spool, quarantine: Spool) -> None:
        self._dump, self._pairs, self._quarantine = dump, pairs, quarantine
        self._seen: set[bytes] = set()

    def refuse(self, row_id: str, reason: str, detail: str, text: str) -> None:
        self._quarantine.add(quarantine_row(row_id, reason, detail, text))

    def take(self, f: dict[str, Any]) -> None:
        """Judge one documented function and write it to one of the two tables."""
        place = f"{f['repo']}:{f['path']}:{f['line']}"
        row_id = stable_id(self._dump, f["repo"], f["path"], f["line"], f["qualified_name"])
        doc = parse_doc(f["doc_raw"])
        broken = reject(f["name"], f["body"], doc, f["has_parse_error"])
        parts = tokens(f["code"])
        digest = hash_tokens(parts)
        if broken is None and bytes.fromhex(digest) in self._seen:
            broken = "duplicate", "same tokens as an earlier function"
        if broken is not None:
            self.refuse(row_id, broken[0], f"{place}: {broken[1]}", f"{f['doc_raw']}\n{f['code']}")
            return
        self._seen.add(bytes.fromhex(digest))
        same = ("repo", "path", "line", "end_line", "licence", "name", "qualified_name", "doc_raw")
        self._pairs.add(
            {k: f[k] for k in (*same, "signature", "body", "code", "context", "origin", "doc_path", "doc_line")}
            | {
                "pair_id": row_id,
                "dump": self._dump,
                "doc": doc.text,
                "brief": doc.brief,
                "doc_params": [name for name, _ in doc.params],
                "doc_returns": doc.returns,
                "n_tokens": len(parts),
                "cyclomatic": cyclomatic(parts),
                "has_parse_error": f["has_parse_error"],
                "token_sha256": digest,
                "quality": score(doc, f["parameter_names"], f["code"]),
            }
        )


def docstring_pairs(
    clean_files: pl.LazyFrame, dump: str, scratch: Path, workers: int = 1
) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Documented functions of one dump, and those kept out with their reasons.

    Files are read one by one; a definition without documentation takes that of its declaration. Functions
    without any documentation are no candidates and appear in neither table.

    Parameters
    ----------
    clean_files
        Rows of `clean_files` of this dump; CMake files are passed over.
    dump
        Partition key, part of `pair_id`.
    scratch
        Folder for the tables while they are built; must outlive the frames.
    workers
        Parsing processes. With 1 the parser runs in this process.

    Returns
    -------
    docstring_pairs, docstring_pairs_quarantine
        Exact duplicates (by tokens) are in the second, near duplicates still in the first.
    """
    files = clean_files.filter(pl.col("language") != "cmake")
    graph = IncludeGraph()
    index = DeclarationIndex(graph)
    functions = Spool(_FUNCTIONS, scratch / "functions.parquet")
    pairs = Spool(TABLES["docstring_pairs"], scratch / "docstring_pairs.parquet")
    quarantine = Spool(TABLES["docstring_pairs_quarantine"], scratch / "docstring_pairs_quarantine.parquet")
    judge = _Judge(dump, pairs, quarantine)
    with quarantine, pairs:
        with functions:
            for file, facts in _facts(files, workers):
                place = f"{file.repo}:{file.path}"
                why = facts.detail if isinstance(facts, Crash) else facts.refused
                if isinstance(facts, Crash) or why is not None:
                    judge.refuse(place, "unreadable file", f"{place}: {why}", file.text)
                    continue
                graph.add(file.repo, file.path, facts.includes)
                index.add(file.repo, file.path, facts.declarations)
                for function in facts.functions:
                    row = {"repo": file.repo, "path": file.path, "licence": file.licence} | vars(function)
                    functions.add(row)
        for row in rows_of(functions.scan()):
            candidate, ambiguous = _documented(row, index)
            if ambiguous is not None:
                row_id = stable_id(dump, row["repo"], row["path"], row["line"], row["qualified_name"])
                places = ", ".join(ambiguous.places[:8])
                detail = f"{row['repo']}:{row['path']}:{row['line']}: documented differently at {places}"
                judge.refuse(row_id, "ambiguous declaration", detail, row["code"])
            elif candidate["doc_raw"]:
                judge.take(candidate)
    return pairs.scan(), quarantine.scan()

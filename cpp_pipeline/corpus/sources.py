"""Streams of texts that the corpus is mixed from: real files, problems, documented functions.

Belongs here: reading tables in batches, cutting files into chunks, documented functions in doc style.
Does not belong here: FIM, shares and packing (`mixing`).
Every stream is lazy and can be started again for another epoch.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from cpp_pipeline.corpus.fim import stable_seed
from cpp_pipeline.curate.tokens import tokens
from cpp_pipeline.problems.family import ENTRY_NAMES, rename_entry

BATCH_ROWS = 256
"""Rows held in memory at a time while a table is streamed."""
CPP_LANGUAGES = ("c", "cpp", "header", "c_header")

Row = dict[str, Any]


@dataclass(frozen=True)
class Document:
    """A text with a stable name; `function` holds (doc, signature, body) where it is one function."""

    id: str
    text: str
    function: tuple[str, str, str] | None = None


def stream_rows(frame: pl.LazyFrame) -> Iterator[Row]:
    """Rows of a frame in order, a batch at a time."""
    for batch in frame.collect_batches(chunk_size=BATCH_ROWS, lazy=True):
        yield from batch.iter_rows(named=True)


def chunk_at_line_ends(text: str, max_characters: int) -> Iterator[str]:
    """Cut text into pieces of at most `max_characters`, at line ends where lines are short enough.

    Joined, the pieces are the text again.
    """
    piece = ""
    for line in text.splitlines(keepends=True):
        if piece and len(piece) + len(line) > max_characters:
            yield piece
            piece = ""
        whole = len(line) // max_characters * max_characters if len(line) > max_characters else 0
        yield from (line[i : i + max_characters] for i in range(0, whole, max_characters))
        piece += line[whole:]
    if piece:
        yield piece


@dataclass(frozen=True)
class FileChunks:
    """Chunks of real files, dealt by hash into `slices` parts that each run through all files.

    A pass reads one slice, so that a corpus that needs a tenth of the code takes it from everywhere.
    """

    files: pl.LazyFrame
    excluded_ids: Collection[str]
    max_characters: int
    seed: int
    slices: int = 1

    def documents(self, epoch: int) -> Iterator[Document]:
        """The chunks of pass `epoch`, that is of slice `epoch % slices`."""
        # A filter on the frame would be done while the file is read, with twice the memory.
        for row in stream_rows(self.files.select("dump", "repo", "path", "language", "content")):
            name = file_id(row)
            if row["language"] not in CPP_LANGUAGES or name in self.excluded_ids:
                continue
            for number, chunk in enumerate(chunk_at_line_ends(row["content"], self.max_characters)):
                chunk_id = f"{name}#{number}"
                dealt = stable_seed("chunk", self.seed, chunk_id) % self.slices
                if dealt == epoch % self.slices and not chunk.isspace():
                    yield Document(chunk_id, chunk)


def cpp_files(files: pl.LazyFrame) -> pl.LazyFrame:
    """The C and C++ files among clean files (not CMake)."""
    return files.filter(pl.col("language").is_in(CPP_LANGUAGES))


def file_id(row: Row) -> str:
    """Name of a file over all dumps, as used in lists of excluded rows: dump/repo/path."""
    return f"{row['dump']}/{row['repo']}/{row['path']}"


@dataclass(frozen=True)
class ProblemFunctions:
    """Documented reference solutions; those of the family get varied entry names."""

    problems: pl.LazyFrame
    excluded_ids: Collection[str]
    seed: int
    rows: list[Row] = field(init=False)

    def __post_init__(self) -> None:
        columns = ["problem_id", "source", "doc", "signature", "references"]
        # The number of problems is set by the preset, so they are held in memory.
        rows = [r for r in stream_rows(self.problems.select(columns)) if _usable(r, self.excluded_ids)]
        object.__setattr__(self, "rows", rows)

    def documents(self, epoch: int) -> Iterator[Document]:
        """Each problem once an epoch, in a new order, with a solution style and an entry name by hash."""
        order = list(self.rows)
        random.Random(stable_seed("problems", self.seed, epoch)).shuffle(order)
        for row in order:
            key = stable_seed("function", self.seed, epoch, row["problem_id"])
            code, signature = row["references"][key % len(row["references"])], row["signature"]
            if row["source"] == "family":
                name = ENTRY_NAMES[(key >> 32) % len(ENTRY_NAMES)]
                code, signature = rename_entry(code, name), rename_entry(signature, name)
            yield documented(row["problem_id"], row["doc"], signature, code)


def _usable(row: Row, excluded_ids: Collection[str]) -> bool:
    return bool(row["references"]) and row["problem_id"] not in excluded_ids


def documented(row_id: str, doc: str, signature: str, code: str) -> Document:
    """A function under its documentation: `/// doc`, then the code, one newline at the end."""
    body = body_of(code, signature)
    return Document(row_id, f"{doc_lines(doc)}{code.rstrip()}\n", None if body is None else (doc, signature, body))


def doc_lines(doc: str) -> str:
    """Documentation as `///` lines; empty for an empty text."""
    return "".join(f"/// {line}".rstrip() + "\n" for line in doc.strip().splitlines())


def body_of(code: str, signature: str) -> str | None:
    """Body lines of a function that is exactly `signature { ... }`, None where it is anything else."""
    code = code.strip()
    rest = code[len(signature) :].strip()
    if not code.startswith(signature) or not _is_one_block(rest):
        return None
    return body_lines(rest[1:-1])


def _is_one_block(code: str) -> bool:
    depth = 0
    parts = tokens(code)
    for position, token in enumerate(parts):
        depth += (token == "{") - (token == "}")
        if depth == 0:
            return token == "}" and position == len(parts) - 1
    return False


def body_lines(body: str) -> str | None:
    """Text between braces as lines of its own with one newline at the end; None when it is blank."""
    if not body.strip():
        return None
    if "\n" not in body.strip():
        return f"    {body.strip()}\n"
    first, _, rest = body.partition("\n")
    kept = body if first.strip() else rest
    return kept.rstrip() + "\n"


@dataclass(frozen=True)
class PairFunctions:
    """Documented functions from real code that are short enough for one row."""

    pairs: pl.LazyFrame
    excluded_ids: Collection[str]
    max_characters: int

    def documents(self, epoch: int) -> Iterator[Document]:
        """The functions in table order, the same each epoch."""
        del epoch
        size = sum(pl.col(c).str.len_chars() for c in ("doc", "signature", "body"))
        fitting = self.pairs.filter(~pl.col("has_parse_error") & (size <= self.max_characters))
        for row in stream_rows(fitting.select("pair_id", "doc", "signature", "body", "code")):
            body = body_lines(row["body"])
            if body is not None and row["doc"].strip() and row["pair_id"] not in self.excluded_ids:
                yield Document(row["pair_id"], row["code"], (row["doc"], row["signature"], body))


def half(text: str) -> tuple[str, str]:
    """Cut a text in two near its middle, at a line end where there is one."""
    middle = len(text) // 2
    cut = text.rfind("\n", 0, middle) + 1 or text.find("\n", middle) + 1
    if cut in (0, len(text)):
        cut = middle
    return text[:cut], text[cut:]

"""A finished corpus and its tokenizer read back: is every document what one of the sources holds?

Belongs here: from ids back to documents, and from documents to the rows that they are from.
Does not belong here: building a corpus (`mixing`), the layouts (`fim`), what follows from a fault (the checks).
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from tokenizers import Tokenizer

from cpp_pipeline.corpus.fim import function_of, unfim
from cpp_pipeline.corpus.formats import EOT, FIM_MIDDLE, FIM_PREFIX, FIM_SUFFIX, SPECIALS, Parts, Special
from cpp_pipeline.corpus.shards import Shards, open_shards
from cpp_pipeline.corpus.sources import body_lines, cpp_files, documented, file_id, stream_rows
from cpp_pipeline.corpus.tokenizer import decode, encode_parts, encode_plain, load_tokenizer, special_id
from cpp_pipeline.problems.family import ENTRY, ENTRY_NAMES

SAMPLE_ROWS = 256
"""Rows of the corpus that are read back, and files that the tokenizer is tried on, whatever there is."""
_SHOWN = 5
_MARKS = (FIM_PREFIX, FIM_SUFFIX, FIM_MIDDLE, EOT)
_ENTRY = re.compile(rf"\b(?:{'|'.join(ENTRY_NAMES)})\b(?=\s*\()")
_LOST = "\N{REPLACEMENT CHARACTER}"

Function = tuple[str, str, str]


@dataclass(frozen=True)
class Inspection:
    """What a sample of rows holds: documents by kind, and the first ones that are not as they should be."""

    rows: int
    documents: dict[str, int]
    damaged: list[str]
    of_no_source: list[str]

    @property
    def passed(self) -> bool:
        """True when there are documents, and nothing is wrong with any."""
        return bool(self.documents) and not self.damaged and not self.of_no_source


@dataclass(frozen=True)
class _Document:
    """One document of a row; `function` where the layout may be that of structured FIM."""

    kind: str
    text: str
    function: Function | None = None


def inspect(
    shards_folder: Path,
    tokenizer_folder: Path,
    files: pl.LazyFrame,
    pairs: pl.LazyFrame,
    problems: pl.LazyFrame,
    excluded_ids: Collection[str] = frozenset(),
) -> Inspection:
    """Read back SAMPLE_ROWS rows, spread evenly, and look for each of their documents in the sources.

    A FIM document has to be in one of the layouts and give the same ids again; what its prefix, middle and suffix make
    has to be a piece of a file or of a documented reference, or the function of a pair or problem, byte for byte.

    Parameters
    ----------
    files, pairs, problems
        Rows of clean_files, docstring_pairs and train_problems that the corpus may hold. Streamed, once each.
    excluded_ids
        Rows that it may not hold (`sft.excluded`).
    """
    shards, tok = open_shards(shards_folder), load_tokenizer(tokenizer_folder)
    wanted = sorted({int(i) for i in np.linspace(0, shards.rows - 1, min(SAMPLE_ROWS, shards.rows))})
    found: list[_Document] = []
    damaged: list[str] = []
    for index in wanted:
        for ids in _documents(shards, tok, index):
            document = _read(tok, ids)
            if document is None:
                damaged.append(f"row {index}: {decode(tok, ids)[:200]}")
            else:
                found.append(document)
    counts = Counter(document.kind for document in found)
    missing = _without_source(found, files, pairs, problems, excluded_ids)
    shown = [f"{document.kind}: {document.text[:200]}" for document in missing[:_SHOWN]]
    return Inspection(len(wanted), dict(sorted(counts.items())), damaged[:_SHOWN], shown)


def lossy_texts(tokenizer_folder: Path, files: pl.LazyFrame) -> list[str]:
    """What a tokenizer loses: special tokens without their number, and files that do not come back from their ids."""
    tok = load_tokenizer(tokenizer_folder)
    specials = [name for number, name in enumerate(SPECIALS) if tok.token_to_id(name) != number]
    rows = itertools.islice(stream_rows(files.select("dump", "repo", "path", "content")), SAMPLE_ROWS)
    return specials + [file_id(r) for r in rows if decode(tok, encode_plain(tok, r["content"])) != r["content"]]


def _documents(shards: Shards, tok: Tokenizer, index: int) -> Iterator[list[int]]:
    """The documents of a row with their ends; what is left of one that is cut comes without."""
    end, document = special_id(tok, EOT), list[int]()
    row = shards.row(index).tolist()
    while row and row[-1] == shards.pad_id:
        row.pop()
    for token in row:
        document.append(token)
        if token == end:
            yield document
            document = []
    if document:
        yield document


def _read(tok: Tokenizer, ids: Sequence[int]) -> _Document | None:
    """A document of ids; None when it is in no layout, or its text has other ids."""
    parts = _parts(tok, ids)
    if all(part == Special(EOT) for part in parts if isinstance(part, Special)):
        # Pieces of long files begin and end anywhere, inside a character too; the ids before a cut may be others.
        return _Document("raw", "".join(p for p in parts if isinstance(p, str)).strip(_LOST))
    if tuple(part.text for part in parts if isinstance(part, Special)) != _MARKS or encode_parts(tok, parts) != ids:
        return None
    texts = {part.text: "" for part in parts if isinstance(part, Special)}
    for mark, text in itertools.pairwise(parts):
        if isinstance(mark, Special) and isinstance(text, str):
            texts[mark.text] = text
    layout: Parts = tuple(p for mark in _MARKS for p in (Special(mark), texts[mark]))[:-1]
    try:
        function = function_of(layout)
    except ValueError:  # random FIM
        return _Document("random_fim", unfim(layout))
    return _Document("structured_fim", unfim(layout), function)


def _parts(tok: Tokenizer, ids: Sequence[int]) -> Parts:
    specials = {special_id(tok, name): name for name in SPECIALS}
    parts: list[str | Special] = []
    for name, group in itertools.groupby(ids, specials.get):
        run = list(group)
        parts += [Special(name) for _ in run] if name else [decode(tok, run)]
    return tuple(parts)


def _without_source(
    documents: Iterable[_Document],
    files: pl.LazyFrame,
    pairs: pl.LazyFrame,
    problems: pl.LazyFrame,
    excluded_ids: Collection[str],
) -> list[_Document]:
    left = [d for d in documents if d.text]
    left = _not_of_problems(left, problems, excluded_ids)
    left = _not_of_pairs(left, pairs, excluded_ids)
    for row in stream_rows(cpp_files(files).select("dump", "repo", "path", "content")) if left else ():
        if file_id(row) not in excluded_ids:
            left = [d for d in left if d.text not in row["content"]]
        if not left:
            break
    return left


def _not_of_problems(left: list[_Document], problems: pl.LazyFrame, excluded_ids: Collection[str]) -> list[_Document]:
    """Documents that no documented reference holds, whatever name its function was given."""
    asked = [(d, _renamed(d.text), d.function and tuple(map(_renamed, d.function))) for d in left]
    for row in stream_rows(problems.select("problem_id", "doc", "signature", "references")):
        if row["problem_id"] in excluded_ids:
            continue
        for code in row["references"]:
            known = documented(row["problem_id"], row["doc"], row["signature"], code)
            text, function = _renamed(known.text), known.function and tuple(map(_renamed, known.function))
            asked = [a for a in asked if not (a[1] in text or (function and a[2] == function))]
    return [document for document, _, _ in asked]


def _not_of_pairs(left: list[_Document], pairs: pl.LazyFrame, excluded_ids: Collection[str]) -> list[_Document]:
    docs = {d.function[0] for d in left if d.function}
    rows = pairs.filter(pl.col("doc").is_in(docs)).select("pair_id", "doc", "signature", "body")
    known: set[tuple[Any, ...]] = set()
    for row in stream_rows(rows) if docs else ():
        if row["pair_id"] not in excluded_ids:
            known.add((row["doc"], row["signature"], body_lines(row["body"])))
    return [d for d in left if d.function not in known]


def _renamed(text: str) -> str:
    return _ENTRY.sub(ENTRY, text)

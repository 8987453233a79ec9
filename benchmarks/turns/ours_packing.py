"""Our packing and shards on given documents: a worker of `corpus_packing`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cpp_pipeline.corpus.packing import Packable, pack
from cpp_pipeline.corpus.shards import write_shards

_PAD = 0
_documents: list[Packable] = []


def load(file: str) -> None:
    """Read `ids`, `ends` and `may_cut` from FILE; documents are lists of numbers, as a tokenizer gives them."""
    held = np.load(file)
    parts = np.split(held["ids"], held["ends"][:-1])
    _documents[:] = [Packable(part.tolist(), bool(cut)) for part, cut in zip(parts, held["may_cut"], strict=True)]


def tokens(row_tokens: int) -> tuple[int, int]:
    """Rows, and tokens in them."""
    rows = list(pack(_documents, row_tokens, _PAD))
    return len(rows), sum(int(np.count_nonzero(row)) for row in rows)


def in_memory(row_tokens: int) -> int:
    """Packed; the number of rows."""
    return len(list(pack(_documents, row_tokens, _PAD)))


def on_disk(row_tokens: int, vocab: int, folder: str) -> None:
    """Packed and written as shards with their manifest."""
    rows = pack(_documents, row_tokens, _PAD)
    write_shards(rows, Path(folder), seq_tokens=row_tokens - 1, vocab=vocab, pad_id=_PAD, tokenizer_sha256="")

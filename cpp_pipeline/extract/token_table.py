"""Tokens of many texts at once, as numbers.

Belongs here: the batch form of `lexer.py`, with exactly its tokens. Does not belong here: what is compared by them
(`curate/`).
"""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from cpp_pipeline.extract.lexer import DECISIONS

U8: TypeAlias = NDArray[np.uint8]
U16: TypeAlias = NDArray[np.uint16]
U64: TypeAlias = NDArray[np.uint64]
I64: TypeAlias = NDArray[np.int64]

_BATCH_BYTES = 32_000_000


@dataclass(frozen=True)
class TokenTable:
    """Tokens of n texts; those of text i are `hashes[offsets[i]:offsets[i + 1]]`.

    `hashes` holds one 64-bit hash a token, the same in every process and version; `offsets` is (n + 1,);
    `sha256` equals `lexer.token_sha256` and `cyclomatic` equals `lexer.cyclomatic` of each text.
    """

    hashes: U64
    offsets: I64
    sha256: list[str]
    cyclomatic: I64

    @property
    def n_tokens(self) -> I64:
        """Number of tokens of each text; (n,)."""
        return np.diff(self.offsets)


def token_table(texts: pl.Series | Sequence[str]) -> TokenTable:
    """Lex texts; about 0.1 µs of CPU a token, and 8 bytes of memory each. A null counts as an empty text."""
    parts = list(_lexed(texts, with_sha256=True))
    hashes, offsets = _together(parts)
    decisions = np.concatenate([np.empty(0, np.int64), *(part.decisions for part in parts)])
    return TokenTable(hashes, offsets, [digest for part in parts for digest in part.sha256], 1 + decisions)


def token_hashes(texts: pl.Series | Sequence[str]) -> tuple[U64, I64]:
    """`hashes` and `offsets` of `token_table` alone, at about half of its cost."""
    return _together(list(_lexed(texts, with_sha256=False)))


@dataclass(frozen=True)
class _Part:
    hashes: U64
    ends: I64
    decisions: I64
    sha256: list[str]


def _lexed(texts: pl.Series | Sequence[str], with_sha256: bool) -> Iterator[_Part]:
    """The texts some megabytes at a time: buffers for the worst case are asked for, of which little is ever touched."""
    # Here, because compiled code is loaded with it.
    from cpp_pipeline.extract.token_kernel import lex

    series = texts if isinstance(texts, pl.Series) else pl.Series(list(texts), dtype=pl.String)
    for data, offsets in _buffers(series):
        rows, size = len(offsets) - 1, int(offsets[-1] - offsets[0])
        hashes = np.empty(size, np.uint64)
        joined = np.empty(2 * size if with_sha256 else 0, np.uint8)
        ends, joined_ends, decisions = (np.empty(rows, np.int64) for _ in range(3))
        lex(data, offsets, _classes(), _decisions(), hashes, ends, joined, joined_ends, decisions)
        yield _Part(hashes[: ends[-1]], ends, decisions, _sha256(joined, joined_ends) if with_sha256 else [])


def _sha256(joined: U8, ends: I64) -> list[str]:
    text, bounds = joined.data, [0, *ends.tolist()]
    return [hashlib.sha256(text[a:b]).hexdigest() for a, b in pairwise(bounds)]


def _together(parts: list[_Part]) -> tuple[U64, I64]:
    ends, last = [np.zeros(1, np.int64)], 0
    for part in parts:
        ends.append(part.ends + last)
        last = int(ends[-1][-1])
    hashes = [part.hashes for part in parts] or [np.empty(0, np.uint64)]
    return hashes[0] if len(hashes) == 1 else np.concatenate(hashes), np.concatenate(ends)


def _buffers(series: pl.Series) -> Iterator[tuple[U8, I64]]:
    """Bytes and offsets of consecutive rows, about `_BATCH_BYTES` each."""
    arrow = series.to_arrow(compat_level=pl.CompatLevel.oldest())
    for chunk in arrow.chunks if isinstance(arrow, pa.ChunkedArray) else [arrow]:
        _, offset_buffer, data_buffer = chunk.buffers()
        offsets = np.frombuffer(offset_buffer, np.int64, len(chunk) + 1, 8 * chunk.offset)
        data = np.frombuffer(data_buffer or b"", np.uint8)
        first = 0
        while first < len(chunk):
            last = int(np.searchsorted(offsets, offsets[first] + _BATCH_BYTES, side="right")) - 1
            last = min(max(last, first + 1), len(chunk))
            yield data, offsets[first : last + 1]
            first = last


@cache
def _classes() -> U16:
    """Character classes of every code point as `re` sees them; (0x110000,), bits of the kernel."""
    from cpp_pipeline.extract import token_kernel as bits

    every = "".join(map(chr, range(0x110000)))
    table = np.zeros(0x110000, np.uint16)
    for pattern, bit in ((r"\s+", bits.SPACE), (r"\d+", bits.DIGIT), (r"\w+", bits.WORD)):
        for match in re.finditer(pattern, every):
            table[match.start() : match.end()] |= bit
    starts = "".join(word[0] for word in DECISIONS)
    for characters, bit in (
        (starts, bits.DECISION), (":+-<&|#", bits.DOUBLED), ("-+*/%&|^=!<>", bits.ASSIGNED),
        ("uUL", bits.PREFIX), ("eEpP", bits.EXPONENT), ("(){}[];,~?", bits.SINGLE),
        (set(string.ascii_letters + "_") - set("uULR"), bits.NAME),
    ):  # fmt: skip
        table[[ord(c) for c in set(characters)]] |= bit
    return table


@cache
def _decisions() -> U64:
    """Hashes of the tokens that `lexer.cyclomatic` counts."""
    from cpp_pipeline.extract.token_kernel import hash_bytes

    words = [np.frombuffer(word.encode(), np.uint8) for word in sorted(DECISIONS)]
    return np.array([hash_bytes(word, 0, len(word)) for word in words], np.uint64)

"""The n-grams of texts, seen as tokens, as symbols or as words.

Belongs here: from a batch of texts to the n-grams that some set of n-grams may hold, compiled. Does not belong here:
what a shared n-gram means (`decontaminate.py`), the exact look-up (`joins.py`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cpp_pipeline.curate.tokens import KEYWORDS, tokens
from cpp_pipeline.extract.token_table import token_hashes

U8: TypeAlias = NDArray[np.uint8]
U64: TypeAlias = NDArray[np.uint64]
I64: TypeAlias = NDArray[np.int64]
View = Literal["tokens", "symbols", "words"]
"""Tokens of the code; the same with each name and each literal replaced by `$`; lower-cased words of everything."""

_SALTS = {"tokens": np.uint64(1 << 40), "symbols": np.uint64(2 << 40), "words": np.uint64(3 << 40)}
_OPERATORS = """
    <<= <=> ->* ... :: -> ++ -- << && || ## += -= *= /= %= &= |= ^= == != <= >= ! # % & ( ) * + , - . / : ; < = > ? @
    [ \\ ] ^ ` { | } ~
"""
FIXED = frozenset({*KEYWORDS, *_OPERATORS.split()})
"""Tokens that are neither name nor literal: they stay in the view `symbols`."""
_WORD = re.compile("[0-9A-Za-z_\u0080-\U0010ffff]+")


@dataclass(frozen=True)
class Grams:
    """n-grams of a batch: number of the text, place in it and hash of each; places count tokens or words."""

    rows: I64
    places: I64
    hashes: U64


class Wanted:
    """n-grams that texts are searched for: their kinds, and a bitmap that passes all of them and few others."""

    def __init__(self, kinds: Sequence[tuple[View, int]], hashes: U64 | None) -> None:
        """`kinds` are views and lengths; without `hashes` every n-gram of these kinds is wanted."""
        self.kinds = list(dict.fromkeys(kinds))
        self._bitmap = _every_bit() if hashes is None else _bits(hashes)

    def find(self, texts: pl.Series) -> Grams:
        """The n-grams of texts that may be among the wanted ones."""
        from cpp_pipeline.curate.gram_kernel import windows

        views = _views(texts, {view for view, _ in self.kinds})
        found: list[tuple[I64, I64, U64]] = [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.uint64))]
        room = max((len(hashes) for hashes, _ in views.values()), default=0)
        places, grams = np.empty(room, np.int64), np.empty(room, np.uint64)
        for view, n in self.kinds:
            hashes, offsets = views[view]
            count = windows(hashes, offsets, n, _SALTS[view], self._bitmap, places, grams)
            rows = np.searchsorted(offsets, places[:count], side="right") - 1
            found.append((rows, places[:count] - offsets[rows], grams[:count].copy()))
        return Grams(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def spelled(view: View, text: str) -> list[str]:
    """The parts of one text that the hashes of a view stand for, to be read by people."""
    if view == "words":
        return _WORD.findall(text.lower())
    parts = tokens(text)
    return parts if view == "tokens" else [part if part in FIXED else "$" for part in parts]


def _views(texts: pl.Series, wanted: set[View]) -> dict[View, tuple[U64, I64]]:
    from cpp_pipeline.curate.gram_kernel import fold

    views: dict[View, tuple[U64, I64]] = {}
    if wanted & {"tokens", "symbols"}:
        views["tokens"] = token_hashes(texts)
    if "symbols" in wanted:
        hashes, offsets = views["tokens"]
        folded = np.empty_like(hashes)
        fold(hashes, *_fixed(), folded)
        views["symbols"] = folded, offsets
    if "words" in wanted:
        views["words"] = _words(texts)
    return views


def _words(texts: pl.Series) -> tuple[U64, I64]:
    from cpp_pipeline.curate.gram_kernel import hash_words

    arrow = texts.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offset_buffer, data_buffer = arrow.buffers()
    offsets = np.frombuffer(offset_buffer, np.int64, len(arrow) + 1, 8 * arrow.offset)
    ends = np.zeros(len(offsets), np.int64)
    hashes = np.empty((int(offsets[-1] - offsets[0]) + 1) // 2 + len(arrow), np.uint64)
    hash_words(np.frombuffer(data_buffer or b"", np.uint8), offsets, hashes, ends[1:])
    return hashes[: ends[-1]], ends


def _bits(hashes: U64) -> U8:
    from cpp_pipeline.curate.gram_kernel import BITMAP_BITS

    bits = np.zeros(1 << BITMAP_BITS, np.bool_)
    bits[hashes >> np.uint64(64 - BITMAP_BITS)] = True
    return np.packbits(bits, bitorder="little")


@cache
def _every_bit() -> U8:
    from cpp_pipeline.curate.gram_kernel import BITMAP_BITS

    return np.full(1 << BITMAP_BITS - 3, 255, np.uint8)


@cache
def _fixed() -> tuple[U64, np.uint64]:
    """Hash table of the tokens that stay as they are, and the symbol for all others."""
    table = np.zeros(1024, np.uint64)
    for token in token_hashes(sorted(FIXED))[0].tolist():
        slot = token & 1023
        while table[slot]:
            slot = (slot + 1) & 1023
        table[slot] = token
    return table, token_hashes(["$"])[0][0]

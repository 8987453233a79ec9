"""The measure of near duplicates: token 5-shingles, the keys that find candidates, and the exact similarity.

Belongs here: what a signature is, the table of them, and Jaccard similarity of many pairs of texts in bounded memory.
Does not belong here: which text of a pair goes (`representatives.py`), joins over all dumps (`joins.py`).

A stored signature is worth nothing beside one of another algorithm: raise `ALGORITHM` with every change here, in
`signature_kernel.py` or in the tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from cpp_pipeline.extract.token_table import token_hashes
from cpp_pipeline.schemas import TABLES

U32: TypeAlias = NDArray[np.uint32]
U64: TypeAlias = NDArray[np.uint64]
I64: TypeAlias = NDArray[np.int64]
F64: TypeAlias = NDArray[np.float64]
Reader: TypeAlias = Callable[[], Iterable[tuple[I64, pl.Series]]]
"""Gives (numbers of texts, texts) in batches, the same at every call; a number at most once."""

ALGORITHM = 1
MIN_TOKENS = 30
"""Shorter functions are accessors and forwarders: alike by nature, not copies."""
THRESHOLD = 0.8
BANDS, ROWS = 16, 8
"""16 bands of 8 rows find 99 % of the pairs at Jaccard 0.8."""
HELD_SHINGLES = 24_000_000
"""Shingles of candidates in memory at once, 8 bytes each; with more of them the texts are read again."""
PER_DUMP = 8
"""Rows of one dump that may have the same key among those of all dumps."""
TEXT_ID = pl.col("token_sha256").str.slice(0, 15).str.to_integer(base=16, dtype=pl.Int64).alias("text_id")
_READ_ROWS = 10_000
_SEED = 20_240_229
_MAX_COUNTERS = 1 << 28


def signatures(texts: pl.Series) -> tuple[I64, U64]:
    """Number of tokens (n,) and band keys (n, BANDS) of texts; keys are 0 below `MIN_TOKENS`."""
    from cpp_pipeline.curate.signature_kernel import band_keys

    hashes, offsets = token_hashes(texts)
    keys = np.empty((len(texts), BANDS), np.uint64)
    band_keys(hashes, offsets, MIN_TOKENS, *_functions(BANDS * ROWS), keys)
    return np.diff(offsets), keys


def function_signatures(pairs: pl.LazyFrame) -> pl.LazyFrame:
    """Rows of `function_signatures` of one dump's `docstring_pairs`, in their order; holds about 400 bytes a row."""
    rows, n_tokens, keys = [], [np.empty(0, np.int64)], [np.empty((0, BANDS), np.uint64)]
    columns = ("pair_id", "dump", "token_sha256", "quality", "code")
    for batch in pairs.select(columns).collect_batches(chunk_size=_READ_ROWS, maintain_order=True):
        tokens, bands = signatures(batch["code"])
        rows.append(batch.drop("code"))
        n_tokens.append(tokens)
        keys.append(bands)
    tokens, said = np.concatenate(n_tokens), _said(np.concatenate(keys))
    compared = tokens >= MIN_TOKENS
    made = pl.concat([pairs.select(columns[:-1]).head(0).collect(), *rows]).with_columns(
        TEXT_ID,
        pl.Series("n_tokens", tokens),
        pl.lit(ALGORITHM, pl.Int64).alias("algorithm"),
        _packed(said, compared).alias("bands"),
        pl.Series("is_crowded", compared & (said == 0).any(axis=1)),
    )
    return TABLES["function_signatures"].conform(made.lazy())


def _said(keys: U64) -> U64:
    """The keys, 0 for all but the first `PER_DUMP` rows that have the same one."""
    said = keys.copy()
    for band in range(BANDS):
        key = keys[:, band]
        order = np.argsort(key, kind="stable")
        later = np.flatnonzero(key[order[PER_DUMP:]] == key[order[:-PER_DUMP]]) + PER_DUMP
        said[order[later], band] = 0
    return said


def _packed(keys: U64, compared: NDArray[np.bool_]) -> pl.Series:
    """The keys of a row as bytes, which are read several times as fast as lists; none where it is not compared."""
    ends = np.r_[0, np.cumsum(compared * keys[0].nbytes if len(keys) else [])].astype(np.int64)
    data = keys[compared].astype("<u8").tobytes()
    packed = pa.Array.from_buffers(pa.large_binary(), len(keys), [None, pa.py_buffer(ends), pa.py_buffer(data)])
    return pl.Series(packed, dtype=pl.Binary)


def unpacked(bands: pl.Series) -> tuple[I64, U64]:
    """Which rows of a column `bands` have keys (n,), and their keys (n, BANDS)."""
    packed = bands.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offset_buffer, data = packed.buffers()
    ends = np.frombuffer(offset_buffer, np.int64, len(packed) + 1, 8 * packed.offset)
    keys = np.frombuffer(data or b"", "<u8")[ends[0] // 8 : ends[-1] // 8]
    return np.flatnonzero(np.diff(ends)), keys.astype(np.uint64, copy=False).reshape(-1, BANDS)


@cache
def _functions(size: int) -> tuple[U32, U32]:
    """Odd factors and summands of so many hash functions; (size,) each."""
    random = np.random.Generator(np.random.PCG64(_SEED))
    a, b = random.integers(0, 2**32, (2, size), dtype=np.uint32)
    return a | np.uint32(1), b


class KeyCounts:
    """How many texts have a band key: never too few, and too many only where keys share both their counters."""

    def __init__(self, texts: int) -> None:
        """For so many texts."""
        size = min(1 << (4 * BANDS * texts).bit_length(), _MAX_COUNTERS)
        self._counters = np.zeros(size, np.uint16)

    def add(self, keys: U64) -> None:
        """Count the keys (n, BANDS) of texts; 0 is none."""
        from cpp_pipeline.curate.signature_kernel import count_keys

        count_keys(keys, self._counters)

    def of(self, keys: U64) -> NDArray[np.uint16]:
        """How many texts have each of the keys (n, BANDS), at most 65,535; (n, BANDS)."""
        from cpp_pipeline.curate.signature_kernel import counted

        found = np.empty(keys.shape, np.uint16)
        counted(keys, self._counters, found)
        return found


class KeySet:
    """The band keys of a few texts, to find them among those of many: as bits they fit into a processor's cache."""

    def __init__(self, texts: int) -> None:
        """For so many texts."""
        self._bits = np.zeros(max(1, min(1 << (16 * BANDS * texts).bit_length(), _MAX_COUNTERS) // 64), np.uint64)

    def add(self, keys: U64) -> None:
        """Take the keys (n, BANDS) of texts; 0 is none."""
        from cpp_pipeline.curate.signature_kernel import add_keys

        add_keys(keys, self._bits)

    def places(self, keys: U64) -> tuple[I64, NDArray[np.int16]]:
        """Row and band of all keys (n, BANDS) that were added; of others now and then one whose bits are both set."""
        from cpp_pipeline.curate.signature_kernel import known_keys

        text, band = np.empty(keys.size, np.int64), np.empty(keys.size, np.int16)
        n = known_keys(keys, self._bits, text, band)
        return text[:n], band[:n]


@dataclass(frozen=True)
class _Sets:
    """Shingle sets of texts: that of `slots[i]` is `values[offsets[i]:offsets[i + 1]]`, sorted."""

    slots: I64
    values: U64
    offsets: I64


def similarities(left: I64, right: I64, read: Reader, held: int = HELD_SHINGLES) -> F64:
    """Exact Jaccard similarity of the 5-shingle sets of pairs of texts; (n,).

    Shingles of about `held` tokens are kept; all others are compared with them as they are read. When the texts have
    more in all, they are read again for the pairs that are left.

    Parameters
    ----------
    left, right
        Numbers of texts; (n,).
    read
        Gives all texts with these numbers; others are passed over.

    Raises
    ------
    ValueError
        If a text is not among those read.
    """
    jaccard = np.full(len(left), np.nan)
    while len(todo := np.flatnonzero(np.isnan(jaccard))):
        jaccard[todo] = _one_pass(left[todo], right[todo], read, held)
        if np.isnan(jaccard[todo]).all():
            raise ValueError(
                f"similarities: text {left[todo[0]]} or {right[todo[0]]} is not among those that were read"
            )
    return jaccard


def _one_pass(left: I64, right: I64, read: Reader, held: int) -> F64:
    """Similarity of all pairs that have a text among the first ones read, NaN for the others."""
    wanted, slots = np.unique(np.concatenate([left, right]), return_inverse=True)
    pairs = slots[: len(left)], slots[len(left) :]
    jaccard = np.full(len(left), np.nan)
    first: list[_Sets] = []
    block: _Sets | None = None
    for numbers, texts in read():
        place = np.minimum(np.searchsorted(wanted, numbers), len(wanted) - 1)
        rows = np.flatnonzero(wanted[place] == numbers)
        part = _sets(place[rows], texts.gather(rows))
        if block is not None:
            _compare(pairs, block, part, len(wanted), jaccard)
            _compare(pairs[::-1], block, part, len(wanted), jaccard)
            continue
        first.append(part)
        if sum(len(p.values) for p in first) >= held:
            block = _together(first)
    block = block or _together(first)
    _compare(pairs, block, block, len(wanted), jaccard)
    return jaccard


def _sets(slots: I64, texts: pl.Series) -> _Sets:
    from cpp_pipeline.curate.signature_kernel import shingle_sets

    hashes, offsets = token_hashes(texts)
    ends = np.zeros(len(offsets), np.int64)
    values = np.empty(len(hashes), np.uint64)
    shingle_sets(hashes, offsets, values, ends[1:])
    return _Sets(slots, values[: ends[-1]].copy(), ends)


def _together(parts: list[_Sets]) -> _Sets:
    values = np.concatenate([np.empty(0, np.uint64), *(p.values for p in parts)])
    sizes = [np.diff(p.offsets) for p in parts]
    slots = np.concatenate([np.empty(0, np.int64), *(p.slots for p in parts)])
    return _Sets(slots, values, np.cumsum(np.concatenate([np.zeros(1, np.int64), *sizes])))


def _compare(pairs: tuple[I64, I64], a: _Sets, b: _Sets, n_slots: int, jaccard: F64) -> None:
    """Fill in the pairs whose first text is in `a` and whose second is in `b`."""
    from cpp_pipeline.curate.signature_kernel import overlaps

    in_a, in_b = np.full(n_slots, -1), np.full(n_slots, -1)
    in_a[a.slots], in_b[b.slots] = np.arange(len(a.slots)), np.arange(len(b.slots))
    i, j = in_a[pairs[0]], in_b[pairs[1]]
    both = np.flatnonzero((i >= 0) & (j >= 0))
    found = np.empty(len(both))
    overlaps(a.values, a.offsets, i[both], b.values, b.offsets, j[both], found)
    jaccard[both] = found

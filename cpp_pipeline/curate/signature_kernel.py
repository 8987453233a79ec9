"""Shingles, MinHash and set overlap as machine code.

Belongs here: loops over token hashes. Does not belong here: sizes, thresholds and what they mean (`signatures.py`).
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from cpp_pipeline.extract.compiled import compiled

U32: TypeAlias = NDArray[np.uint32]
U64: TypeAlias = NDArray[np.uint64]
I64: TypeAlias = NDArray[np.int64]

SHINGLE_TOKENS = 5


@compiled
def mix(x: np.uint64) -> np.uint64:
    """splitmix64's finaliser (Steele, Lea, Flood 2014): spreads every input bit over all output bits."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.uint64(x ^ (x >> np.uint64(31)))


@compiled
def _shingle(hashes: U64, i: int) -> np.uint64:
    """Hash of the five tokens from `i` on; their order counts."""
    total = np.uint64(0)
    for j in range(SHINGLE_TOKENS):
        total = total * np.uint64(0x9E3779B97F4A7C15) + hashes[i + j]
    return mix(total)


@compiled
def band_keys(hashes: U64, offsets: I64, floor: int, a: U32, b: U32, keys: U64) -> None:
    """MinHash (Broder 1997) with multiply-add hashes, eight or fewer rows of which make the key of a band.

    Parameters
    ----------
    hashes, offsets
        Tokens of n texts.
    floor
        Texts with fewer tokens get zeros.
    a, b
        Odd factors and summands of the hash functions; (bands * rows,).
    keys
        Filled; (n, bands).
    """
    bands = keys.shape[1]
    rows = len(a) // bands
    least = np.empty(len(a), np.uint32)
    for text in range(len(offsets) - 1):
        first, last = offsets[text], offsets[text + 1] - SHINGLE_TOKENS
        if offsets[text + 1] - first < floor:
            keys[text] = 0
            continue
        least[:] = 0xFFFFFFFF
        for i in range(first, last + 1):
            x = np.uint32(_shingle(hashes, i) >> np.uint64(32))
            for p in range(len(a)):
                value = np.uint32(np.uint32(a[p] * x) + b[p])
                least[p] = min(least[p], value)
        for band in range(bands):
            key = np.uint64(band)
            for p in range(band * rows, (band + 1) * rows):
                key = mix(key * np.uint64(0x9E3779B97F4A7C15) + np.uint64(least[p]))
            keys[text, band] = key


@compiled
def shingle_sets(hashes: U64, offsets: I64, values: U64, ends: I64) -> None:
    """Sorted distinct shingles of each text one after the other; `ends` (n,) says where each set ends."""
    n = 0
    for text in range(len(offsets) - 1):
        start = n
        for i in range(offsets[text], offsets[text + 1] - SHINGLE_TOKENS + 1):
            values[n] = _shingle(hashes, i)
            n += 1
        values[start:n].sort()
        kept = start
        for i in range(start, n):
            if i == start or values[i] != values[kept - 1]:
                values[kept] = values[i]
                kept += 1
        n = kept
        ends[text] = n


@compiled
def overlaps(a: U64, a_offsets: I64, i: I64, b: U64, b_offsets: I64, j: I64, jaccard: NDArray[np.float64]) -> None:
    """Exact Jaccard similarity of the sets `i[k]` of `a` and `j[k]` of `b`; 0 for two empty ones."""
    for k in range(len(i)):
        x, x_end = a_offsets[i[k]], a_offsets[i[k] + 1]
        y, y_end = b_offsets[j[k]], b_offsets[j[k] + 1]
        total = x_end - x + y_end - y
        shared = 0
        while x < x_end and y < y_end:
            left, right = a[x], b[y]
            shared += left == right
            x += left <= right
            y += right <= left
        jaccard[k] = shared / (total - shared) if total else 0.0


@compiled
def bucket_pairs(keys: U64, order: I64, window: int, left: I64, right: I64) -> int:
    """Pairs of rows with one key: each row with its bucket's first and the `window` - 1 smaller ones before it.

    Parameters
    ----------
    keys
        One key a row.
    order
        Rows sorted by key; sorted by number in each bucket afterwards.
    left, right
        Filled as far as there is room.

    Returns
    -------
    int
        How many pairs there are.
    """
    n = 0
    start = 0
    while start < len(order):
        end = start + 1
        while end < len(order) and keys[order[end]] == keys[order[start]]:
            end += 1
        if end > start + 1:
            order[start:end].sort()
        for k in range(start + 1, end):
            low = max(start, k - window + 1)
            for other in range(low - (low > start), k):
                if n < len(left):
                    left[n], right[n] = order[start if other < low else other], order[k]
                n += 1
        start = end
    return n


@compiled
def count_keys(keys: U64, counters: NDArray[np.uint16]) -> None:
    """Count each key but 0 in two counters, named by its low and its high half; their number is a power of two."""
    last = np.uint64(len(counters) - 1)
    for i in range(keys.shape[0]):
        for key in keys[i]:
            for half in (key, key >> np.uint64(32)):
                slot = np.int64(half & last)
                if key != 0 and counters[slot] < 0xFFFF:
                    counters[slot] += np.uint16(1)


@compiled
def counted(keys: U64, counters: NDArray[np.uint16], found: NDArray[np.uint16]) -> None:
    """The smaller counter of each key, 0 for the key 0; `found` has the shape of `keys`."""
    last = np.uint64(len(counters) - 1)
    for i in range(keys.shape[0]):
        for band in range(keys.shape[1]):
            key = keys[i, band]
            least = np.uint16(0)
            if key != 0:
                least = counters[np.int64(key & last)]
                if least:
                    least = min(least, counters[np.int64((key >> np.uint64(32)) & last)])
            found[i, band] = least


@compiled
def add_keys(keys: U64, bits: U64) -> None:
    """Set two bits for each key but 0, named by its low and its high half; the number of bits is a power of two."""
    last = np.uint64(64 * len(bits) - 1)
    for i in range(keys.shape[0]):
        for key in keys[i]:
            for half in (key, key >> np.uint64(32)):
                if key != 0:
                    bits[np.int64((half & last) >> np.uint64(6))] |= np.uint64(1) << (half & np.uint64(63))


@compiled
def known_keys(keys: U64, bits: U64, text: I64, band: NDArray[np.int16]) -> int:
    """Where keys (n, bands) have both their bits set; `text` and `band` are filled, and as long as all may need.

    Returns
    -------
    int
        How many there are.
    """
    last = np.uint64(64 * len(bits) - 1)
    n = 0
    for i in range(keys.shape[0]):
        for j in range(keys.shape[1]):
            key = keys[i, j]
            low, high = key & last, (key >> np.uint64(32)) & last
            if (
                bits[np.int64(low >> np.uint64(6))] >> (low & np.uint64(63)) & np.uint64(1)
                and bits[np.int64(high >> np.uint64(6))] >> (high & np.uint64(63)) & np.uint64(1)
                and key != 0
            ):
                text[n], band[n] = i, j
                n += 1
    return n

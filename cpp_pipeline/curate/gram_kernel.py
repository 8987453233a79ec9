"""Words, symbols and n-grams of many texts, as machine code.

Belongs here: loops over bytes and hashes. Does not belong here: which n-grams count (`decontaminate.py`).
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from cpp_pipeline.extract.compiled import compiled

U8: TypeAlias = NDArray[np.uint8]
U64: TypeAlias = NDArray[np.uint64]
I64: TypeAlias = NDArray[np.int64]

BITMAP_BITS = 22
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


@compiled
def _mix(x: np.uint64) -> np.uint64:
    """splitmix64's finaliser (Steele, Lea, Flood 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.uint64(x ^ (x >> np.uint64(31)))


@compiled
def hash_words(data: U8, offsets: I64, hashes: U64, ends: I64) -> None:
    """Hash each run of ASCII letters (in lower case), digits, underscores and non-ASCII characters.

    `hashes` has room for half of the bytes, rounded up; `ends` gets the number of words up to the end of each text.
    """
    n = 0
    for row in range(len(offsets) - 1):
        word = np.uint64(0)
        for i in range(offsets[row], offsets[row + 1]):
            c = data[i]
            if 65 <= c <= 90:
                c += 32
            if 97 <= c <= 122 or 48 <= c <= 57 or c == 95 or c >= 128:
                word = (word + np.uint64(c)) * _FACTOR
                word ^= word >> np.uint64(32)
            elif word:
                hashes[n] = word
                n += 1
                word = np.uint64(0)
        if word:
            hashes[n] = word
            n += 1
        ends[row] = n


@compiled
def fold(hashes: U64, fixed: U64, symbol: np.uint64, folded: U64) -> None:
    """Copy hashes, with `symbol` for all that are not in `fixed`.

    `fixed` is a table of a power of two entries with open addressing by the low bits, 0 where it is free.
    """
    mask = np.uint64(len(fixed) - 1)
    for i in range(len(hashes)):
        token = hashes[i]
        slot = token & mask
        while fixed[slot] != token and fixed[slot] != 0:
            slot = (slot + np.uint64(1)) & mask
        folded[i] = token if fixed[slot] == token and token != 0 else symbol  # a token's hash may be 0


@compiled
def windows(hashes: U64, offsets: I64, n: int, salt: np.uint64, bitmap: U8, places: I64, grams: U64) -> int:
    """Find windows of `n` hashes, none across two texts, whose own hash may be wanted; returns how many.

    A window's hash is the polynomial sum(h[i + j] * B**(n - 1 - j)) modulo 2**64 (Karp and Rabin 1987) mixed with
    `salt` and `n`; it may be wanted when the bit of its upper BITMAP_BITS bits is set. `places` gets the first index
    of each, `grams` its hash; both have room for all.
    """
    power = np.uint64(1)
    for _ in range(n):
        power *= _FACTOR
    begin = salt + np.uint64(n) * np.uint64(0xBF58476D1CE4E5B9)
    found = 0
    for row in range(len(offsets) - 1):
        first, end = offsets[row], offsets[row + 1]
        rolling = np.uint64(0)
        for i in range(first, end):
            rolling = rolling * _FACTOR + hashes[i]
            if i >= first + n:
                rolling -= hashes[i - n] * power
            if i >= first + n - 1:
                gram = _mix(rolling + begin)
                bit = gram >> np.uint64(64 - BITMAP_BITS)
                if bitmap[bit >> np.uint64(3)] >> np.uint8(bit & np.uint64(7)) & np.uint8(1):
                    places[found] = i - n + 1
                    grams[found] = gram
                    found += 1
    return found


@compiled
def _is_dense(
    places: I64, grams: I64, begin: int, end: int, wanted: U8, window: int, need: int, seen: I64,
) -> int:  # fmt: skip
    """First of the hits `begin..end` from which `need` different wanted grams lie in a window; -1 without one."""
    left, different = begin, 0
    for right in range(begin, end):
        if not wanted[grams[right]]:
            continue
        different += seen[grams[right]] == 0
        seen[grams[right]] += 1
        while places[left] + window <= places[right]:
            if wanted[grams[left]]:
                seen[grams[left]] -= 1
                different -= seen[grams[left]] == 0
            left += 1
        if different >= need:
            while not wanted[grams[left]]:
                left += 1
            return left
    return -1


@compiled
def covered(
    rows: I64, places: I64, grams: I64, skips: U8,
    units_of: I64, units: I64, grams_of: I64, unit_grams: I64, need: I64, window: I64, optional: U8,
    found: I64,
) -> int:  # fmt: skip
    """Find (row, unit) where a piece of the row holds enough of the unit's grams; returns how many.

    Parameters
    ----------
    rows, places, grams, skips
        Hits, sorted by row and place; a row that `skips` is not compared with `optional` units. Grams are numbers.
    units_of, units
        Units of gram g are `units[units_of[g]:units_of[g + 1]]`.
    grams_of, unit_grams
        Grams of unit u are `unit_grams[grams_of[u]:grams_of[u + 1]]`.
    need, window
        Different grams and tokens of a piece, for each unit.
    found
        (m, 3): row, unit and number of the first hit of the piece, as far as there is room.
    """
    n_units, n_grams, n = len(need), len(units_of) - 1, 0
    counts, touched, last = np.zeros(n_units, np.int64), np.empty(n_units, np.int64), np.full(n_grams, -1)
    wanted, seen = np.zeros(n_grams, np.uint8), np.zeros(n_grams, np.int64)
    begin = 0
    while begin < len(rows):
        end, n_touched = begin, 0
        while end < len(rows) and rows[end] == rows[begin]:
            gram = grams[end]
            if last[gram] != rows[begin]:
                last[gram] = rows[begin]
                for k in range(units_of[gram], units_of[gram + 1]):
                    unit = units[k]
                    if not (skips[end] and optional[unit]):
                        if counts[unit] == 0:
                            touched[n_touched] = unit
                            n_touched += 1
                        counts[unit] += 1
            end += 1
        for t in range(n_touched):
            unit = touched[t]
            if counts[unit] >= need[unit]:
                own = unit_grams[grams_of[unit] : grams_of[unit + 1]]
                wanted[own] = 1
                hit = _is_dense(places, grams, begin, end, wanted, window[unit], need[unit], seen)
                wanted[own] = 0
                seen[own] = 0
                if hit >= 0:
                    if n < len(found):
                        found[n, 0], found[n, 1], found[n, 2] = rows[begin], unit, hit
                    n += 1
            counts[unit] = 0
        begin = end
    return n

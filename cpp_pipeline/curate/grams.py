"""Stable 64-bit hashes of token windows.

Belongs here: hashing of tokens and n-grams that gives the same numbers in every process and version.
Does not belong here: what a shared n-gram means (`duplicates.py`, `decontaminate.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

U64 = NDArray[np.uint64]
_BASE = 0x9E3779B97F4A7C15
_INVERSE = pow(_BASE, -1, 1 << 64)


@lru_cache(maxsize=1 << 18)
def _token_hash(token: str) -> int:
    return int.from_bytes(hashlib.blake2b(token.encode("utf-8", "replace"), digest_size=8).digest(), "little")


def hash_tokens_u64(parts: Sequence[str]) -> U64:
    """blake2b of each token; shape (len(parts),)."""
    return np.fromiter((_token_hash(t) for t in parts), np.uint64, len(parts))


def mix(x: U64) -> U64:
    """splitmix64's finaliser (Steele, Lea, Flood 2014): spreads every input bit over all output bits."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def ngrams(hashes: U64, n: int) -> U64:
    """Hash of each window of `n` tokens; shape (max(0, len(hashes) - n + 1),).

    The polynomial sum(h[i+j] * B**j) modulo 2**64 (Karp and Rabin 1987), so that order counts, mixed at the
    end together with `n`. Taken from running sums, so that the cost does not grow with `n`: B is odd and
    has an inverse modulo 2**64.
    """
    count = len(hashes) - n + 1
    if count <= 0:
        return np.empty(0, np.uint64)
    powers = np.cumprod(np.r_[np.uint64(1), np.full(len(hashes) - 1, _BASE, np.uint64)], dtype=np.uint64)
    inverses = np.cumprod(np.r_[np.uint64(1), np.full(count - 1, _INVERSE, np.uint64)], dtype=np.uint64)
    sums = np.r_[np.uint64(0), np.cumsum(hashes * powers, dtype=np.uint64)]
    return mix((sums[n:] - sums[:count]) * inverses + np.uint64(n))

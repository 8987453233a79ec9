"""Near duplicates: MinHash to find candidates, exact Jaccard to decide.

Belongs here: the measure (token 5-shingles) and which text of a group stays.
Does not belong here: reading tables (`distinct.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from cpp_pipeline.curate.grams import hash_tokens_u64, mix
from cpp_pipeline.curate.tokens import tokens

U64 = NDArray[np.uint64]

SHINGLE_TOKENS = 5
MIN_TOKENS = 30
"""Shorter functions are accessors and forwarders: alike by nature, not copies."""
THRESHOLD = 0.8
BANDS, ROWS = 16, 8
"""16 bands of 8 rows find 99 % of the pairs at Jaccard 0.8."""
WINDOW = 20
"""Neighbours in a bucket that a text is paired with; all pairs of a big bucket would be quadratic."""
_SLICE_SHINGLES = 16_384
_SEED = 20_240_229


def shingles(code: str) -> U64:
    """Sorted distinct hashes of the token 5-shingles of `code`; shape (n,), empty below the floor."""
    hashes = hash_tokens_u64(tokens(code))
    if len(hashes) < MIN_TOKENS:
        return np.empty(0, np.uint64)
    windows = len(hashes) - SHINGLE_TOKENS + 1
    total = np.zeros(windows, np.uint64)
    for j in range(SHINGLE_TOKENS):
        odd = np.uint64((0x9E3779B97F4A7C15 * (2 * j + 1)) & 0xFFFFFFFFFFFFFFFF)
        total += hashes[j : j + windows] * odd
    return np.unique(mix(total))


def jaccard(a: U64, b: U64) -> float:
    """Exact Jaccard similarity of two sorted sets of distinct shingles; 0.0 for two empty ones."""
    shared = len(np.intersect1d(a, b, assume_unique=True))
    union = len(a) + len(b) - shared
    return shared / union if union else 0.0


def _signatures(sets: Sequence[U64]) -> NDArray[np.uint32]:
    """MinHash (Broder 1997) with multiply-add hashes; shape (len(sets), BANDS * ROWS), no set empty."""
    random = np.random.Generator(np.random.PCG64(_SEED))
    size = BANDS * ROWS
    a = random.integers(0, 2**64, size, dtype=np.uint64) | np.uint64(1)
    b = random.integers(0, 2**64, size, dtype=np.uint64)
    out = np.empty((len(sets), size), np.uint32)
    first = 0
    while first < len(sets):
        last, held = first, 0
        while last < len(sets) and (last == first or held + len(sets[last]) <= _SLICE_SHINGLES):
            held += len(sets[last])
            last += 1
        x = np.concatenate(sets[first:last])
        starts = np.cumsum([0, *(len(s) for s in sets[first : last - 1])])
        buffer = np.empty_like(x)
        for p in range(size):
            np.multiply(x, a[p], out=buffer)
            np.add(buffer, b[p], out=buffer)
            # The low bits of a*x+b are weak: keep the top half.
            out[first:last, p] = np.minimum.reduceat(buffer, starts) >> np.uint64(32)
        first = last
    return out


def _candidates(signatures: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Pairs (i < j) that share a band, each with the bucket's first and its nearest predecessors."""
    found: list[NDArray[np.int64]] = []
    for band in range(BANDS):
        key = np.zeros(len(signatures), np.uint64)
        for row in signatures[:, band * ROWS : (band + 1) * ROWS].T:
            key = mix(key * np.uint64(0x9E3779B97F4A7C15) + row)
        order = np.argsort(key, kind="stable")
        starts = np.flatnonzero(np.r_[True, key[order][1:] != key[order][:-1]])
        position = np.arange(len(order)) - np.repeat(starts, np.diff(np.r_[starts, len(order)]))
        first = order[np.arange(len(order)) - position]
        later = position > 0
        found.append(np.stack([first[later], order[later]], axis=1))
        for back in range(1, WINDOW):
            near = np.flatnonzero(position >= back)
            if not len(near):
                break
            found.append(np.stack([order[near - back], order[near]], axis=1))
    return np.unique(np.concatenate(found), axis=0)


def near_duplicates(ids: Sequence[str], codes: Iterable[str], rank: Sequence[int] | None = None) -> dict[str, str]:
    """Texts to drop because a better one says the same.

    A text is dropped when it has an exact Jaccard similarity of at least 0.8 with a better text that is
    *kept*; so nothing is dropped for being like something that is itself gone (no chaining). Texts under
    30 tokens are never dropped.

    Parameters
    ----------
    ids
        Distinct names.
    codes
        The texts in the same order; read once. Memory is 8 bytes a token, not the texts.
    rank
        Distinct numbers, the best text has the smallest; without it texts come best first.

    Returns
    -------
    dict
        Dropped id -> the best kept id that it repeats, best dropped first; the same on every run.

    Raises
    ------
    ValueError
        If ids or ranks repeat or the lengths differ.
    """
    every = [shingles(code) for code in codes]
    rank = range(len(ids)) if rank is None else rank
    if not len(every) == len(ids) == len(rank):
        raise ValueError(f"near_duplicates: {len(ids)} ids, {len(every)} texts and {len(rank)} ranks")
    if len(set(ids)) != len(ids) or len(set(rank)) != len(ids):
        raise ValueError("near_duplicates: ids or ranks repeat; give every text its own")
    rows = sorted((i for i, s in enumerate(every) if len(s)), key=lambda i: rank[i])
    sets = [every[i] for i in rows]
    if len(sets) < 2:
        return {}
    better: dict[int, list[int]] = {}
    for i, j in _candidates(_signatures(sets)).tolist():
        if jaccard(sets[i], sets[j]) >= THRESHOLD:
            better.setdefault(j, []).append(i)
    keeper: dict[int, int] = {}
    for j in range(len(sets)):
        kept = next((i for i in better.get(j, ()) if i not in keeper), None)
        if kept is not None:
            keeper[j] = kept
    return {ids[rows[j]]: ids[rows[i]] for j, i in keeper.items()}

"""Near duplicates of one table: candidates by MinHash, exact Jaccard similarity to decide.

Belongs here: candidates among the texts of one table. Does not belong here: the measure (`signatures.py`), which text
of a group stays (`representatives.py`), tables (`distinct.py`), duplicates over all dumps (`across.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import polars as pl

from cpp_pipeline.curate.representatives import representatives
from cpp_pipeline.curate.signatures import BANDS, I64, MIN_TOKENS, THRESHOLD, U64, signatures, similarities

WINDOW = 20
"""Members of a bucket that a text is paired with; all pairs of a big bucket would be quadratic."""
_MANY_PAIRS = 20_000_000


def near_duplicates(
    ids: Sequence[str], read: Callable[[], Iterable[pl.Series]], rank: Sequence[int] | None = None
) -> dict[str, str]:
    """Texts to drop because a better one says the same.

    A text is dropped when it has an exact Jaccard similarity of at least 0.8 with a better text that is
    *kept*; so nothing is dropped for being like something that is itself gone (no chaining). Texts under
    30 tokens are never dropped.

    Parameters
    ----------
    ids
        Distinct names.
    read
        Gives the texts in the same order, in batches; called at least twice. Memory is 128 bytes a text and a
        bounded amount for the comparison, never the texts.
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
    order = np.argsort(np.asarray(range(len(ids)) if rank is None else rank, np.int64), kind="stable")
    if len(ids) != len(order):
        raise ValueError(f"near_duplicates: {len(ids)} ids and {len(order)} ranks")
    if len(set(ids)) != len(ids) or (rank is not None and len(set(rank)) != len(ids)):
        raise ValueError("near_duplicates: ids or ranks repeat; give every text its own")
    better, worse = similar_pairs(read, order)
    return {ids[order[j]]: ids[order[i]] for j, i in representatives(better, worse).items()}


def similar_pairs(read: Callable[[], Iterable[pl.Series]], order: I64) -> tuple[I64, I64]:
    """Pairs of texts of at least 30 tokens whose Jaccard similarity is at least 0.8.

    Parameters
    ----------
    read
        As for `near_duplicates`.
    order
        Numbers of the texts, best first.

    Returns
    -------
    better, worse
        Places in `order`, `better` < `worse`, distinct and sorted.

    Raises
    ------
    ValueError
        If there are more or fewer texts than numbers.
    """
    n_tokens, keys = _signatures(read)
    if len(n_tokens) != len(order):
        raise ValueError(f"near_duplicates: {len(n_tokens)} texts for {len(order)} ids")
    places = np.flatnonzero(n_tokens[order] >= MIN_TOKENS)
    better, worse = (places[side] for side in candidates(keys, order[places]))
    close = similarities(order[better], order[worse], lambda: _numbered(read())) >= THRESHOLD
    return better[close], worse[close]


def candidates(keys: U64, rows: I64, window: int = WINDOW) -> tuple[I64, I64]:
    """Pairs of texts that share a band, each with the bucket's first and its nearest predecessors.

    Parameters
    ----------
    keys
        (n, BANDS).
    rows
        The texts that take part, best first.

    Returns
    -------
    better, worse
        Positions in `rows`, `better` < `worse`, distinct and sorted.
    """
    from cpp_pipeline.curate.signature_kernel import bucket_pairs

    found: list[I64] = []
    for band in range(BANDS):
        key = keys[rows, band]
        order = np.argsort(key)
        none = np.empty(0, np.int64)
        n = bucket_pairs(key, order, window, none, none)
        left, right = np.empty(n, np.int64), np.empty(n, np.int64)
        bucket_pairs(key, order, window, left, right)
        found.append(left << 32 | right)
        if sum(map(len, found)) > _MANY_PAIRS:
            found = [_distinct(found)]
    pairs = _distinct(found)
    return pairs >> 32, pairs & 0xFFFFFFFF


def _distinct(parts: list[I64]) -> I64:
    # numpy's unique hashes first, which takes three times as long.
    pairs = np.sort(np.concatenate(parts))
    return pairs[np.r_[True, pairs[1:] != pairs[:-1]]] if len(pairs) else pairs


def _signatures(read: Callable[[], Iterable[pl.Series]]) -> tuple[I64, U64]:
    parts = [signatures(texts) for texts in read()]
    n_tokens = np.concatenate([np.empty(0, np.int64), *(n for n, _ in parts)])
    return n_tokens, np.concatenate([np.empty((0, BANDS), np.uint64), *(keys for _, keys in parts)])


def _numbered(batches: Iterable[pl.Series]) -> Iterator[tuple[I64, pl.Series]]:
    first = 0
    for texts in batches:
        yield np.arange(first, first + len(texts)), texts
        first += len(texts)

"""Packing of documents into rows of one length.

Belongs here: which documents share a row. Does not belong here: where documents come from (`mixing`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

WINDOW = 4000
"""Documents packed together: bounds memory; larger windows pad less."""


class Packable(NamedTuple):
    """Ids of a document; `may_cut` where it may be continued in another row (left-to-right text)."""

    ids: list[int]
    may_cut: bool = False


def pack(
    documents: Iterable[Packable], row_tokens: int, pad_id: int, window: int = WINDOW
) -> Iterator[npt.NDArray[np.integer[Any]]]:
    """Rows of `row_tokens` ids that hold every id once; the rest of a row is `pad_id`.

    Best-fit decreasing over windows of documents. Those that may be cut then flow into what rows have
    left: pieces of long files begin and end anywhere anyhow, FIM documents and functions do not. What a
    window leaves open is padded, so that a row depends on its window alone.

    Raises
    ------
    ValueError
        When a document that may not be cut is longer than a row.
    """
    stream = iter(documents)
    while batch := list(islice(stream, window)):
        rows = _best_fit([d.ids for d in batch if not d.may_cut], row_tokens)
        for ids in _fill([i for d in batch if d.may_cut for i in d.ids], rows, row_tokens):
            row = np.full(row_tokens, pad_id, dtype=np.uint32)
            row[: len(ids)] = ids
            yield row


def _fill(flow: list[int], rows: list[list[int]], row_tokens: int) -> Iterator[list[int]]:
    place = 0
    for row in rows:
        room = row_tokens - len(row)
        yield row + flow[place : place + room]
        place += room
    for start in range(place, len(flow), row_tokens):
        yield flow[start : start + row_tokens]


def _best_fit(documents: list[list[int]], row_tokens: int) -> list[list[int]]:
    rows: list[list[int]] = []
    room: dict[int, list[int]] = {}
    # Bit r is set while a row with r free places exists: the best fit is the lowest set bit >= length.
    free = 0
    for document in sorted(documents, key=len, reverse=True):
        length = len(document)
        if length > row_tokens:
            raise ValueError(f"a document of {length} tokens does not fit rows of {row_tokens}")
        fitting = free >> length
        if fitting:
            left = length + (fitting & -fitting).bit_length() - 1
            row = room[left].pop()
            if not room[left]:
                free &= ~(1 << left)
        else:
            left, row = row_tokens, len(rows)
            rows.append([])
        rows[row] += document
        left -= length
        room.setdefault(left, []).append(row)
        free |= 1 << left
    return rows

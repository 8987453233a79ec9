"""Reading tables row by row, and rows of quarantine tables.

Belongs here: what every producer of this room needs of a table. Does not belong here: writing
(`dumps/spool.py`) and where tables are kept (`storage/`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import polars as pl

_READ_ROWS = 500


def rows_of(frame: pl.LazyFrame) -> Iterator[dict[str, Any]]:
    """Rows in order, a batch at a time in memory."""
    for batch in frame.collect_batches(chunk_size=_READ_ROWS, maintain_order=True):
        yield from batch.iter_rows(named=True)


def quarantine_row(row_id: str, reason: str, detail: str, text: str) -> dict[str, str]:
    """A row of any `<table>_quarantine`; the text is cut to what the table allows."""
    return {"row_id": row_id, "reason": reason, "detail": detail, "text": text[:2_000]}


def stable_id(*parts: object) -> str:
    """24 hex digits of the sha256 of the parts: the same in every process and version."""
    return hashlib.sha256("\0".join(map(str, parts)).encode("utf-8", "replace")).hexdigest()[:24]

"""Reading tables row by row, frames of dataclasses, frames to scratch files, and rows of quarantine tables.

Belongs here: what every producer of this room needs of a table. Does not belong here: writing single rows
(`dumps/spool.py`) and where tables are kept (`storage/`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import fields
from operator import attrgetter
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from cpp_pipeline.dumps.spool import RowGroups, give_back

_READ_ROWS = 2_000
"""Fewer cost more memory: polars then holds more batches of one row group."""
_WINDOW_BYTES = 16_000_000
_GROUP_ROWS = 50_000
_GROUP_BYTES = 24_000_000
_SEPARATOR = "\x1f"
_KINDS: dict[str, pl.DataType] = {
    "str": pl.String(),
    "int": pl.Int64(),
    "bool": pl.Boolean(),
    "tuple[str, ...]": pl.List(pl.String()),
}


def rows_of(frame: pl.LazyFrame, at_once: int = _READ_ROWS) -> Iterator[dict[str, Any]]:
    """Rows in order, `at_once` of them in memory."""
    for batch in frame.collect_batches(chunk_size=at_once, maintain_order=True):
        yield from batch.iter_rows(named=True)


def windows(frame: pl.LazyFrame, size_bytes: pl.Expr) -> Iterator[pl.LazyFrame]:
    """Rows in order, in pieces of about 16 MB, for whoever takes long over each.

    `rows_of` decodes ahead of a slow reader, the more the longer the table is (pola-rs/polars#28569).

    Parameters
    ----------
    frame
        A scan: of any other frame each piece does all the work before it again.
    size_bytes
        Bytes of a row.
    """
    ends = frame.select(size_bytes.cast(pl.Int64).cum_sum()).collect(engine="streaming").to_series()
    start = 0
    while start < len(ends):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(ends.search_sorted(before + _WINDOW_BYTES, side="right")))
        yield frame.slice(start, stop - start)
        start = stop


def quarantine_row(row_id: str, reason: str, detail: str, text: str) -> dict[str, str]:
    """A row of any `<table>_quarantine`; the text is cut to what the table allows."""
    return {"row_id": row_id, "reason": reason, "detail": detail, "text": text[:2_000]}


def stable_id(*parts: object) -> str:
    """24 hex digits of the sha256 of the parts: the same in every process and version."""
    return hashlib.sha256("\0".join(map(str, parts)).encode("utf-8", "replace")).hexdigest()[:24]


def schema_of(kind: type) -> dict[str, pl.DataType]:
    """Column types of a dataclass's fields."""
    return {f.name: _KINDS[str(f.type)] for f in fields(kind)}


def frame_of(kind: type, items: Iterable[Any], **more: pl.Series) -> pl.DataFrame:
    """Dataclass instances of one kind as a frame with a column a field, and further columns."""
    rows = list(items)
    columns = [series_of(n, map(attrgetter(n), rows), dtype) for n, dtype in schema_of(kind).items()]
    return pl.DataFrame([*columns, *(series.alias(name) for name, series in more.items())])


def series_of(name: str, values: Iterable[Any], dtype: pl.DataType) -> pl.Series:
    """A column; lists of texts by way of one text each, many times faster than from Python objects."""
    if not isinstance(dtype, pl.List):
        return pl.Series(name, list(values), dtype)
    joined = pl.Series(name, ["".join(_SEPARATOR + text for text in texts) for texts in values], pl.String)
    return joined.str.split(_SEPARATOR).list.slice(1)


class FrameSpool(RowGroups):
    """Frames of one schema, a scratch file of row groups."""

    def __init__(self, schema: pl.Schema, file: Path) -> None:
        self._schema = schema
        self._frames: list[pl.DataFrame] = []
        self._rows = self._bytes = 0
        super().__init__(_arrow(pl.DataFrame(schema=schema)).schema, file)

    def add(self, frame: pl.DataFrame) -> None:
        """Append a frame that has the columns of the schema; others are left out."""
        if not frame.height:
            return
        frame = frame.select(pl.col(name).cast(dtype) for name, dtype in self._schema.items())
        self._frames.append(frame)
        self._rows += frame.height
        self._bytes += int(frame.estimated_size())
        if self._rows >= _GROUP_ROWS or self._bytes >= _GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._frames:
            self._writer.write_table(_arrow(pl.concat(self._frames)).cast(self._writer.schema))
        self._frames, self._rows, self._bytes = [], 0, 0
        give_back()


def _arrow(frame: pl.DataFrame) -> pa.Table:
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())

"""Rows to a scratch parquet file in bounded memory.

Belongs here: collecting rows of one declared table, and writing them a row group at a time. Does not belong
here: where finished tables are kept (the storage layer).
"""

from __future__ import annotations

import ctypes
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from cpp_pipeline.schemas import Table

MAX_GROUP_ROWS = 50_000
MAX_GROUP_CHARACTERS = 16_000_000


class RowGroups(ABC):
    """Writes row groups to a scratch parquet file; a context manager that holds one of them at most.

    After the block has ended without an error, `scan()` gives the rows in the order in which they were added.
    """

    def __init__(self, schema: pa.Schema, file: Path) -> None:
        self._file = file
        file.parent.mkdir(parents=True, exist_ok=True)
        self._writer = pq.ParquetWriter(file, schema, compression="lz4")

    @abstractmethod
    def _flush(self) -> None:
        """Write what is held as a row group."""

    def scan(self) -> pl.LazyFrame:
        """The finished rows."""
        return pl.scan_parquet(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._flush()
        finally:
            self._writer.close()


class Spool(RowGroups):
    """Rows of a declared table, one by one."""

    def __init__(self, table: Table, file: Path) -> None:
        self._table = table
        self._rows: list[dict[str, Any]] = []
        self._characters = 0
        self._schema: pa.Schema = table.empty().collect().to_arrow(compat_level=pl.CompatLevel.oldest()).schema
        super().__init__(self._schema, file)

    def add(self, row: dict[str, Any]) -> None:
        """Append one row with exactly the table's columns."""
        self._rows.append(row)
        self._characters += sum(len(v) for v in row.values() if isinstance(v, str))
        if len(self._rows) >= MAX_GROUP_ROWS or self._characters >= MAX_GROUP_CHARACTERS:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            self._table.check(self._rows)
            # A column at a time: as a frame all texts would be copied at once. Lists go by way of polars, because
            # pyarrow imports pandas for them where that is installed.
            columns = [self._column(name) for name in self._schema.names]
            self._writer.write_table(pa.Table.from_arrays(columns, schema=self._schema))
        self._rows, self._characters = [], 0
        give_back()

    def _column(self, name: str) -> pa.Array:
        values = [row[name] for row in self._rows]
        return pl.Series(name, values, self._table.schema[name]).to_arrow(compat_level=pl.CompatLevel.oldest())


def give_back() -> None:
    """Return freed memory to the system.

    Arrow's pool and the C library keep what was freed for later. Over thousands of row groups of long texts that grew
    to half a byte for each byte that had passed.
    """
    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it
    if trim is not None:
        trim(0)

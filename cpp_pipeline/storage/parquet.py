"""Tables to parquet files and back in bounded memory, however long their texts are.

Belongs here: the size of row groups, and the hash of a table's rows. Does not belong here: where files lie.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

GROUP_ROWS = 50_000
GROUP_BYTES = 4_000_000
"""A row group ends at this many rows or bytes; readers hold several at once."""
_PAGE = {"data_page_size": 64 * 1024, "write_batch_size": 64}
"""Small pages: who needs few rows of a wide column decompresses little else (half of the time, 8 % more bytes)."""
_BATCH_ROWS = 1_000


def write_parquet(frame: pl.LazyFrame, target: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Do a frame's work and write its rows in order, with `metadata` in the footer."""
    empty = _arrow(pl.DataFrame(schema=frame.collect_schema()))
    held = empty
    with pq.ParquetWriter(target, empty.schema, compression="zstd", compression_level=1, **_PAGE) as writer:
        for batch in frame.collect_batches(chunk_size=_BATCH_ROWS, maintain_order=True):
            for part in _parts(_arrow(batch)):
                held = pa.concat_tables([held, part])
                if held.num_rows >= GROUP_ROWS or held.nbytes >= GROUP_BYTES:
                    writer.write_table(held)
                    held = empty
        if held.num_rows:
            writer.write_table(held)
        writer.add_key_value_metadata(dict(metadata or {}))


def _parts(table: pa.Table) -> Iterator[pa.Table]:
    """A table in pieces of about GROUP_BYTES at most."""
    rows = max(1, table.num_rows * GROUP_BYTES // max(table.nbytes, GROUP_BYTES))
    yield from (table.slice(at, rows) for at in range(0, table.num_rows, rows))


def content_version(parquet: Path) -> str:
    """Hash the rows of a parquet file: equal rows in equal order give an equal version, whatever its row groups."""
    digest = hashlib.sha256()
    with pq.ParquetFile(parquet, pre_buffer=False) as file:  # or the whole file is held, compressed
        digest.update(str(file.schema_arrow.remove_metadata()).encode())
        for table in _even(file.iter_batches(batch_size=_BATCH_ROWS)):
            # IPC framing makes the bytes a function of types and values alone.
            for batch in table.replace_schema_metadata(None).combine_chunks().to_batches():
                digest.update(batch.serialize())
    return digest.hexdigest()[:32]


def _even(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The same rows in tables of `_BATCH_ROWS`, the last one shorter."""
    held: pa.Table | None = None
    for batch in batches:
        table = pa.Table.from_batches([batch])
        held = table if held is None else pa.concat_tables([held, table])
        while held.num_rows >= _BATCH_ROWS:
            yield held.slice(0, _BATCH_ROWS)
            held = held.slice(_BATCH_ROWS)
    if held is not None and held.num_rows:
        yield held


def _arrow(frame: pl.DataFrame) -> pa.Table:
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())

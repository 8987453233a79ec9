"""Joins over all dumps: the one place where a table meets another that may outgrow the machine.

Belongs here: the expressions, each written once in Ibis, and the engines that run them: duckdb on this machine,
out of core, or Spark through Spark Connect. Parquet, frames or Arrow batches go in, a scan of sorted parquet comes
out. Does not belong here: what is joined and what a hit means (`signatures`, `duplicates`, `decontaminate`).
"""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

if TYPE_CHECKING:
    from ibis.expr.types import Table as Expression

Source: TypeAlias = pl.DataFrame | pl.LazyFrame | pa.RecordBatchReader | Path | Sequence[Path]
"""What a join reads: a frame, a stream of batches (read once), or parquet files of one schema."""

WINDOW = 20
"""Members of a bucket that a member is paired with; all pairs of a big bucket would be quadratic."""
MEMORY = "768MB"
"""What duckdb may hold before it writes to its temporary folder; the process needs some more around it."""
_GROUP_ROWS = 250_000
_SHIFT = 2**63


class Engine(Protocol):
    """Runs expressions. Get one from `open_engine`; what it returned can be read until it is closed."""

    def table(self, source: Source) -> Expression:
        """The source as a table of the engine."""
        ...

    def run(self, expression: Expression, order: Sequence[str], unsigned: Sequence[str] = ()) -> pl.LazyFrame:
        """The rows of an expression, sorted by `order`; `unsigned` columns are uint64 again."""
        ...


def band_edges(bands: Source, new: Source | None = None, *, engine: Engine, window: int = WINDOW) -> pl.LazyFrame:
    """Pairs of rows that share a bucket: the candidates of near-duplicate search.

    In a bucket, ordered by id, each row is paired with the first and with the `window` - 1 rows before it, so that
    the number of pairs grows linearly with the size of the bucket.

    Parameters
    ----------
    bands
        Columns `id` (int64), `band` (int16), `key` (uint64); one row for each band of each text.
    window
        At least 2.
    new
        Column `id`: only pairs with at least one of these are wanted, and only their buckets are looked at. When
        the new ids are greater than the others, these are the pairs that the whole table would give in addition.

    Returns
    -------
    LazyFrame
        `left` < `right` (int64), distinct, sorted.
    """
    expression = edges(engine.table(bands), None if new is None else engine.table(new), window)
    return engine.run(expression, ["left", "right"])


def gram_hits(grams: Source, bench: Source, *, engine: Engine) -> pl.LazyFrame:
    """The rows of `grams` whose `gram` (uint64) occurs in `bench`.

    Parameters
    ----------
    grams
        Column `gram` and any others, for example the row and the place in it.
    bench
        Column `gram`.

    Returns
    -------
    LazyFrame
        Columns and rows of `grams`, sorted by all columns in their order.
    """
    table = engine.table(grams)
    return engine.run(shared(table, engine.table(bench)), table.columns, unsigned=["gram"])


def edges(bands: Expression, new: Expression | None = None, window: int = WINDOW) -> Expression:
    """The expression of `band_edges`: columns `left`, `right`."""
    import ibis  # takes half a second; most processes that load the definitions join nothing

    if new is None:
        # Most buckets hold one row; without them there is little left to sort.
        wanted = bands.group_by("key").agg(members=lambda t: t.count()).filter(lambda t: t.members > 1)
    else:
        wanted = bands.semi_join(new, "id").select("key").distinct()
    bucket = ["band", "key"]
    before = ibis.window(group_by=bucket, order_by="id", preceding=(window - 1, 1))
    paired = bands.semi_join(wanted, "key").select(
        right="id",
        first=lambda t: t.id.min().over(group_by=bucket),
        before=lambda t: t.id.collect().over(before),
    )
    # The first of a bucket has nobody before it, and no row is paired with itself.
    paired = paired.filter(lambda t: t.first < t.right)
    pairs = paired.select(left=lambda t: ibis.array([t.first]).concat(t.before).unnest(), right="right").distinct()
    return pairs if new is None else pairs.filter(lambda t: t.left.isin(new.id) | t.right.isin(new.id))


def shared(grams: Expression, bench: Expression) -> Expression:
    """The expression of `gram_hits`."""
    return grams.semi_join(bench.select("gram").distinct(), "gram")


@contextmanager
def open_engine(kind: str = "duckdb", remote: str = "", scratch: str | Path | None = None) -> Iterator[Engine]:
    """An engine for the length of a block.

    Parameters
    ----------
    kind
        `duckdb`, or `spark` (extra `spark`).
    remote
        Spark Connect endpoint: `sc://host:port`, or `local[2]` for a server in this process.
    scratch
        Folder or `gs://` place in which a folder is made for what goes in and comes out; it goes with the block. By
        default a temporary one. Spark's workers must find it under the same name.

    Raises
    ------
    ValueError
        If `kind` is none of the two, or Spark has no endpoint or is not installed.
    """
    folder = UPath(scratch or tempfile.gettempdir()) / f"joins-{uuid.uuid4().hex}"
    folder.mkdir(parents=True)
    try:
        if kind == "duckdb":
            yield from _duckdb(folder)
        elif kind == "spark":
            yield from _spark(folder, remote)
        else:
            raise ValueError(f"CPP_PIPELINE_ENGINE={kind!r}: use duckdb or spark")
    finally:
        folder.fs.rm(folder.path, recursive=True)


class _DuckDB:
    """duckdb in this process."""

    def __init__(self, backend: Any, folder: UPath) -> None:
        self._backend, self._folder, self._results = backend, folder, 0

    def table(self, source: Source) -> Expression:
        if isinstance(source, pl.DataFrame):
            name = f"arrow_{uuid.uuid4().hex}"
            self._backend.con.register(name, source.to_arrow(compat_level=pl.CompatLevel.oldest()))
            return self._backend.table(name)
        return self._backend.read_parquet(_files(source, self._folder))

    def run(self, expression: Expression, order: Sequence[str], unsigned: Sequence[str] = ()) -> pl.LazyFrame:
        self._results += 1
        target = str(self._folder / f"result-{self._results}.parquet")
        expression.order_by(list(order)).to_parquet(target)
        return pl.scan_parquet(target)


def _duckdb(folder: UPath) -> Iterator[Engine]:
    import ibis

    backend = ibis.duckdb.connect(
        memory_limit=MEMORY,
        threads=os.cpu_count() or 1,
        temp_directory=str(folder / "temp"),
        preserve_insertion_order=False,  # sorted results are sorted; nothing else has an order
    )
    try:
        yield _DuckDB(backend, folder)
    finally:
        backend.disconnect()


class _Spark:
    """Spark behind a Connect endpoint. It has no unsigned type: there, uint64 is less by 2**63, in the same order."""

    def __init__(self, session: Any, folder: UPath) -> None:
        import ibis

        self._session, self._folder, self._results = session, folder, 0
        self._backend = ibis.pyspark.connect(session)

    def table(self, source: Source) -> Expression:
        if isinstance(source, pl.DataFrame):
            source = source.lazy()
        files = _files(source, self._folder)
        name = f"parquet_{uuid.uuid4().hex}"
        read = self._session.read.parquet(*files)
        read.selectExpr(*map(_shifted, _schema(files[0]))).createOrReplaceTempView(name)
        return self._backend.table(name)

    def run(self, expression: Expression, order: Sequence[str], unsigned: Sequence[str] = ()) -> pl.LazyFrame:
        self._results += 1
        target = self._folder / f"result-{self._results}"
        self._backend.to_parquet(expression.order_by(list(order)), str(target))
        parts = sorted(str(part) for part in target.glob("part-*.parquet"))
        return pl.scan_parquet(parts).with_columns(pl.col(name).reinterpret(signed=False) ^ _SHIFT for name in unsigned)


def _shifted(field: pa.Field) -> str:
    """A column in Spark's SQL; uint64 comes out of parquet as decimal(20, 0), which is exact but slow to compare."""
    quoted = f"`{field.name}`"
    return f"CAST({quoted} - {_SHIFT} AS BIGINT) AS {quoted}" if field.type == pa.uint64() else quoted


def _spark(folder: UPath, remote: str) -> Iterator[Engine]:
    if not remote:
        raise ValueError("CPP_PIPELINE_ENGINE=spark needs SPARK_REMOTE, for example sc://host:15002")
    try:
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise ValueError(f"CPP_PIPELINE_ENGINE=spark: {error}; install the extra: pip install .[spark]") from error
    session = SparkSession.builder.remote(remote).getOrCreate()
    try:
        yield _Spark(session, folder)
    finally:
        session.stop()


def _files(source: pl.LazyFrame | pa.RecordBatchReader | Path | Sequence[Path], folder: UPath) -> list[str]:
    """The source as parquet files of one schema: engines take that of the first and cast or drop what differs."""
    if isinstance(source, pl.LazyFrame | pa.RecordBatchReader):
        target = folder / f"source-{uuid.uuid4().hex}.parquet"
        if isinstance(source, pl.LazyFrame):
            source.sink_parquet(str(target))
        else:
            _write(source, target)
        return [str(target)]
    files = [str(file) for file in ([source] if isinstance(source, Path) else source)]
    if not files:
        raise ValueError("a join needs at least one parquet file")
    first = _schema(files[0])
    for file in files[1:]:
        if not (schema := _schema(file)).equals(first):
            raise ValueError(
                f"{file}: its columns {_columns(schema)} differ from those of {files[0]}: {_columns(first)}"
            )
    return files


def _write(source: pa.RecordBatchReader, target: UPath) -> None:
    held: list[pa.RecordBatch] = []
    with target.open("wb") as file, pq.ParquetWriter(file, source.schema) as writer:
        for batch in source:
            held.append(batch)
            if sum(len(b) for b in held) >= _GROUP_ROWS:
                writer.write_table(pa.Table.from_batches(held))
                held = []
        writer.write_table(pa.Table.from_batches(held, source.schema))


def _schema(file: str) -> pa.Schema:
    with UPath(file).open("rb") as opened:
        return pq.read_schema(opened).remove_metadata()


def _columns(schema: pa.Schema) -> str:
    return ", ".join(f"{f.name} {f.type}" for f in schema)

"""Near duplicates over all dumps, a dump at a time.

Belongs here: the pairs of similar texts over all dumps, where only what is new is compared. Does not belong here: the
measure and what a dump contributes (`signatures.py`), the join (`joins.py`), which pair stays (`representatives.py`).

What is compared are texts, not rows: functions with equal tokens are one text, however many dumps have it. Two texts
*meet* when rows of theirs share a band key, and the edges are the pairs that meet and have a Jaccard similarity of at
least 0.8. Whether two texts meet depends on nothing but their rows: so edges between unchanged dumps stay, and the
result is the same in whatever order dumps come. Two rules keep that cheap:

* of rows of one dump with the same key at most `signatures.PER_DUMP` say it. More of them are a generated family,
  whose members were compared with each other inside the dump;
* a bucket of more than `WINDOW` texts would be compared only in part, and which part depends on all its members. Then
  the dumps are marked as crowded and everything is compared anew.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cpp_pipeline.curate.joins import Engine, band_edges
from cpp_pipeline.curate.signatures import (
    ALGORITHM,
    BANDS,
    I64,
    TEXT_ID,
    THRESHOLD,
    U64,
    KeyCounts,
    KeySet,
    similarities,
    unpacked,
)
from cpp_pipeline.schemas import TABLES

Rows: TypeAlias = NDArray[np.bool_]

WINDOW = 512
_READ_ROWS = 50_000
_EDGES_AT_ONCE = 2_000_000
_BANDS = pa.schema([("id", pa.int64()), ("band", pa.int16()), ("key", pa.uint64())])


@dataclass(frozen=True)
class Compared:
    """`near_duplicate_edges` and `compared_dumps`, as they belong together."""

    edges: pl.LazyFrame
    dumps: pl.LazyFrame


def compare(
    signed: pl.LazyFrame,
    pairs: pl.LazyFrame,
    versions: Mapping[str, str],
    before: Compared | None,
    engine: Engine,
    scratch: Path,
) -> Compared:
    """Similar texts over all dumps; equal to what would be found without `before`.

    Parameters
    ----------
    signed, pairs
        `function_signatures` and `docstring_pairs` of all dumps. The code is read of candidates only.
    versions
        Data version of each dump's signatures.
    before
        What was found last time.
    scratch
        Folder for intermediate files.

    Raises
    ------
    ValueError
        If signatures are of another algorithm, or `pairs` lacks the text of one.
    """
    counts = signed.group_by("dump", "algorithm").agg(n_functions=pl.len().cast(pl.Int64)).sort("dump").collect()
    old = counts.filter(pl.col("algorithm") != ALGORITHM)["dump"].to_list()
    if old:
        raise ValueError(f"function_signatures of {', '.join(old)} are of another algorithm: materialize them first")
    now = {dump: versions[dump] for dump in counts["dump"].to_list()}
    known = before.dumps.collect() if before else TABLES["compared_dumps"].empty().collect()
    usable = (known["algorithm"] == ALGORITHM).all() and not known["is_crowded"].any()
    covered = dict(known.select("dump", "data_version").iter_rows()) if usable else {}
    unchanged = [dump for dump, version in now.items() if covered.get(dump) == version]
    run = _Run(signed, pairs, engine, scratch)
    found = None
    if before and unchanged:
        found = run.added(before.edges, unchanged, lost=len(unchanged) < len(covered))
    edges, crowded = found or run.everything()
    dumps = counts.with_columns(
        pl.col("dump").replace_strict(now, return_dtype=pl.String).alias("data_version"), is_crowded=pl.lit(crowded)
    )
    return Compared(
        TABLES["near_duplicate_edges"].conform(edges.sort("left_text", "right_text").lazy()),
        TABLES["compared_dumps"].conform(dumps.lazy()),
    )


@dataclass(frozen=True)
class _Run:
    signed: pl.LazyFrame
    pairs: pl.LazyFrame
    engine: Engine
    scratch: Path

    def everything(self) -> tuple[pl.DataFrame, bool]:
        """All edges, and whether a bucket was too full."""
        # One row a text is enough; only rows that do not say all their keys may differ in what they say.
        once = pl.col("is_crowded") | pl.struct("text_id", "is_crowded").is_first_distinct()
        said = self.signed.select("is_crowded", once=once).collect()
        rows = said["once"].to_numpy()
        counts = KeyCounts(int(rows.sum()))
        for _, keys in _said_keys(self.signed, rows):
            counts.add(keys)
        path, fullest = self.scratch / f"bands-{uuid.uuid4().hex}.parquet", 0
        with pq.ParquetWriter(path, _BANDS) as writer:
            for ids, keys in _said_keys(self.signed, rows):
                found = counts.of(keys)
                fullest = max(fullest, int(found.max(initial=0)))
                writer.write_batch(_rows(ids, keys, *np.nonzero(found > 1)))
        bands = pl.scan_parquet(path).unique() if said["is_crowded"].any() else path
        edges = band_edges(bands, engine=self.engine, window=WINDOW)
        path.unlink()
        return self._verified(edges), fullest > WINDOW

    def added(self, edges: pl.LazyFrame, unchanged: list[str], lost: bool) -> tuple[pl.DataFrame, bool] | None:
        """All edges, from those that are known between unchanged dumps; None when a bucket is too full."""
        is_old = pl.col("dump").is_in(unchanged)
        fresh = self.signed.filter(~is_old)
        ids = fresh.select(id=pl.col("text_id").unique()).collect()
        wanted = KeySet(len(ids))
        for _, keys in _said_keys(fresh):
            wanted.add(keys)
        met = [_rows(texts, keys, *wanted.places(keys)) for texts, keys in _said_keys(self.signed)]
        bands, said = pl.DataFrame(pa.Table.from_batches(met, _BANDS)), pl.len().over("key")
        bands = bands.filter(said > 1).unique()  # most keys of new texts are said by nobody else
        if bands.select((said > WINDOW).any()).item():
            return None
        bands = bands.filter(said > 1)
        found = self._verified(band_edges(bands, ids, engine=self.engine, window=WINDOW))
        is_new = pl.col("left_text").is_in(ids["id"].implode()) | pl.col("right_text").is_in(ids["id"].implode())
        kept = edges.filter(~is_new).collect()
        return pl.concat([self._still_met(kept, is_old) if lost else kept, found]), False

    def _still_met(self, edges: pl.DataFrame, is_old: pl.Expr) -> pl.DataFrame:
        """The edges whose texts meet without the dumps that are gone."""
        ends = pl.concat([edges["left_text"], edges["right_text"]]).unique()
        here = self.signed.filter(is_old & pl.col("text_id").is_in(ends.implode()))
        parts = [pl.DataFrame({"text": ids.repeat(BANDS), "key": keys.ravel()}) for ids, keys in _said_keys(here)]
        said = pl.concat([pl.DataFrame(schema={"text": pl.Int64, "key": pl.UInt64}), *parts])
        said = said.filter(pl.col("key") != 0).unique()
        left = edges.join(said, left_on="left_text", right_on="text")
        met = left.join(said, left_on=["right_text", "key"], right_on=["text", "key"], how="semi")
        return met.select(edges.columns).unique()

    def _verified(self, edges: pl.LazyFrame) -> pl.DataFrame:
        """The pairs that are similar indeed, a bounded number at a time."""
        found = [TABLES["near_duplicate_edges"].empty().collect()]
        for batch in edges.collect_batches(chunk_size=_EDGES_AT_ONCE, maintain_order=True):
            left, right = batch["left"], batch["right"]
            wanted = pl.concat([left, right]).unique()
            try:
                jaccard = similarities(left.to_numpy(), right.to_numpy(), partial(self._texts, wanted))
            except ValueError as error:
                raise ValueError(f"docstring_pairs changed: materialize function_signatures first ({error})") from error
            edge = batch.select(
                pl.col("left").alias("left_text"),
                pl.col("right").alias("right_text"),
                pl.Series("jaccard", jaccard),
                pl.lit(ALGORITHM, pl.Int64).alias("algorithm"),
            )
            found.append(edge.filter(pl.col("jaccard") >= THRESHOLD))
        return pl.concat(found)

    def _texts(self, wanted: pl.Series) -> Iterator[tuple[I64, pl.Series]]:
        """The code of texts; the filter comes first, so that pages without any of them are left packed."""
        rows = self.pairs.filter(TEXT_ID.is_in(wanted.implode()))
        for batch in rows.select(TEXT_ID, "code").collect_batches(chunk_size=_READ_ROWS):
            yield batch["text_id"].to_numpy(), batch["code"]


def _said_keys(signed: pl.LazyFrame, rows: Rows | None = None) -> Iterator[tuple[I64, U64]]:
    """`text_id` (n,) and keys (n, BANDS) of the rows that have any, in batches; `rows` says which ones are wanted."""
    first = 0
    for batch in signed.select("text_id", "bands").collect_batches(chunk_size=_READ_ROWS, maintain_order=True):
        which, keys = unpacked(batch["bands"])
        ids = batch["text_id"].to_numpy()[which]
        wanted = slice(None) if rows is None else rows[first + which]
        first += len(batch)
        yield ids[wanted], keys[wanted]


def _rows(ids: I64, keys: U64, text: I64, band: NDArray[np.integer]) -> pa.RecordBatch:
    """The keys (n, BANDS) at these places as rows for the join."""
    columns = (ids[text], band.astype(np.int16), keys[text, band])
    return pa.RecordBatch.from_arrays([pa.array(column) for column in columns], schema=_BANDS)

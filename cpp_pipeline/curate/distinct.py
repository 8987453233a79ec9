"""Documented functions of one dump without near duplicates: the last step of `docstring_pairs`.

Belongs here: near duplicates as a step from table to table. Does not belong here: how they are found
(`duplicates.py`), duplicates over all dumps (`across.py`), extraction and exact duplicates (`extract/pairs.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from cpp_pipeline.curate.duplicates import near_duplicates
from cpp_pipeline.dumps.spool import Spool
from cpp_pipeline.extract.rows import quarantine_row, rows_of
from cpp_pipeline.schemas import TABLES

_READ_ROWS = 10_000


def distinct_pairs(pairs: pl.LazyFrame, quarantine: pl.LazyFrame, scratch: Path) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Move near duplicates from the pairs to the quarantine, reason "near duplicate".

    The pair of the better quality stays (then the one with the smaller path and line), so that the result
    does not depend on the order of files. Holds about 300 bytes a pair in memory,
    not the code.

    Parameters
    ----------
    pairs, quarantine
        As `extract.pairs.docstring_pairs` returns them.
    scratch
        Folder for the additional quarantine rows; must outlive the frames.
    """
    order = (
        pairs.select("pair_id", "quality", "repo", "path", "line")
        .with_columns(
            rank=pl.struct(-pl.col("quality"), "repo", "path", "line", "pair_id").rank("ordinal").cast(pl.Int64)
        )
        .collect()
    )
    dropped = near_duplicates(order["pair_id"].to_list(), lambda: _codes(pairs), order["rank"].to_list())
    spool = Spool(TABLES["docstring_pairs_quarantine"], scratch / "near_duplicates.parquet")
    gone = pl.Series(sorted(dropped), dtype=pl.String).implode()
    with spool:
        for row in rows_of(pairs.filter(pl.col("pair_id").is_in(gone))):
            place = f"{row['repo']}:{row['path']}:{row['line']}"
            detail = f"{place}: at least 0.8 of the token 5-shingles of {dropped[row['pair_id']]}"
            spool.add(quarantine_row(row["pair_id"], "near duplicate", detail, row["code"]))
    kept = pairs.filter(~pl.col("pair_id").is_in(gone))
    return kept, pl.concat([quarantine, spool.scan()])


def _codes(pairs: pl.LazyFrame) -> Iterator[pl.Series]:
    for batch in pairs.select("code").collect_batches(chunk_size=_READ_ROWS, maintain_order=True):
        yield batch["code"]

"""Which of similar functions stays, and the functions of all dumps without those that go.

Belongs here: the choice, made from similarities that others found. Does not belong here: finding them
(`duplicates.py`, `across.py`).
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cpp_pipeline.schemas import TABLES

I64: TypeAlias = NDArray[np.int64]


def representatives(better: I64, worse: I64) -> dict[int, int]:
    """Greedy choice: what is like a better text that stays goes; dropped text -> the best kept one that it is like.

    `better[k]` < `worse[k]` are the positions of two similar texts, best text first.
    """
    order = np.lexsort((better, worse))
    keeper: dict[int, int] = {}
    for i, j in zip(better[order].tolist(), worse[order].tolist(), strict=True):
        if j not in keeper and i not in keeper:
            keeper[j] = i
    return keeper


def duplicate_pairs(signed: pl.LazyFrame, edges: pl.LazyFrame) -> pl.LazyFrame:
    """Rows of `duplicate_pairs`: what is left out over all dumps.

    Of functions with equal tokens the best stays: by quality, then by the smaller id. Of similar ones a function goes
    when it is like a better one that stays. Holds about 200 bytes a function.

    Parameters
    ----------
    signed, edges
        `function_signatures` of all dumps and `near_duplicate_edges`.
    """
    columns = ("pair_id", "dump", "token_sha256", "text_id", "quality")
    rows = signed.select(columns).sort("quality", "pair_id", descending=[True, False]).collect()
    best = rows.unique("token_sha256", keep="first", maintain_order=True).with_row_index("place")
    place = best.select("text_id", pl.col("place").cast(pl.Int64)).unique("text_id", keep="first")
    near = (
        edges.collect()
        .join(place.rename({"place": "one"}), left_on="left_text", right_on="text_id")
        .join(place.rename({"place": "other"}), left_on="right_text", right_on="text_id")
        .select("jaccard", better=pl.min_horizontal("one", "other"), worse=pl.max_horizontal("one", "other"))
    )
    keeper = representatives(near["better"].to_numpy(), near["worse"].to_numpy())
    chosen = pl.DataFrame(
        {"worse": list(keeper), "better": list(keeper.values())}, schema={"worse": pl.Int64, "better": pl.Int64}
    )
    kept = best.select("place", kept_pair_id="pair_id", kept_dump="dump")
    made = (
        rows.join(best.select("token_sha256", worse=pl.col("place").cast(pl.Int64)), on="token_sha256")
        .join(chosen.join(near, on=["worse", "better"]), on="worse", how="left")
        .with_columns(
            pl.col("jaccard").fill_null(1.0),
            reason=pl.when(pl.col("better").is_null()).then(pl.lit("exact")).otherwise(pl.lit("near")),
            place=pl.coalesce("better", "worse").cast(pl.UInt32),
        )
        .join(kept, on="place")
        .filter(pl.col("pair_id") != pl.col("kept_pair_id"))
        .sort("pair_id")
    )
    return TABLES["duplicate_pairs"].conform(made.lazy())


def without_duplicates(pairs: pl.LazyFrame, duplicates: pl.LazyFrame) -> pl.LazyFrame:
    """The pairs of all dumps without those that `duplicate_pairs` names; holds the ids of these in memory."""
    gone = duplicates.select("pair_id").collect().to_series().implode()
    return pairs.filter(~pl.col("pair_id").is_in(gone))

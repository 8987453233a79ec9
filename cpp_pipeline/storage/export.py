"""Training tables as JSON lines, in the row shapes that users of the method know."""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl

from cpp_pipeline.schemas import TABLES
from cpp_pipeline.storage.store import Store

_CHAT = [pl.col("instruction"), pl.col("response")]
SHAPES: dict[str, list[pl.Expr]] = {
    "docstring_sft": _CHAT,
    "combined_sft": _CHAT,
    "cmake_sft": _CHAT,
    "combined_cmake": _CHAT,
    "diff_sft": [pl.col("instruction"), pl.col("before"), pl.col("after")],
    "pass_k_sft": [pl.col("instruction"), pl.col("solutions")],
    "preference_pairs": [pl.col(c) for c in ("instruction", "chosen", "rejected", "similarity", "margin")],
    "gspo_prompts": [
        pl.col("instruction"),
        pl.col("tests").alias("test_harness"),
        pl.col("reference_solutions"),
        pl.col("negative_samples"),
    ],
}


def export_jsonl(store: Store, asset: str, target: Path) -> int:
    """Write one JSON object a row; returns the number of rows.

    Raises
    ------
    ValueError
        The asset has no export shape; lists those that have.
    FileNotFoundError
        It was not materialized yet.
    """
    if asset in ("pass_k_solutions", "sft_pass_k_solutions"):
        frame = _pass_k(store.scan(asset))
    elif asset in SHAPES:
        frame = _stored(store, asset).select(SHAPES[asset])
    else:
        names = ", ".join(sorted([*SHAPES, "pass_k_solutions", "sft_pass_k_solutions"]))
        raise ValueError(f"{asset} has no JSONL shape; choose one of {names}")
    partial = target.with_name(f".{target.name}.tmp")
    frame.sink_ndjson(partial)
    os.replace(partial, target)
    return int(frame.select(pl.len()).collect().item())


def _stored(store: Store, asset: str) -> pl.LazyFrame:
    if not TABLES[asset].partitioned and not store.has_table(asset):
        raise FileNotFoundError(f"{asset} is not there yet: run `cpp-pipeline run` first")
    return store.scan(asset)


def _pass_k(solutions: pl.LazyFrame) -> pl.LazyFrame:
    """One row a problem: its solutions by category, pass@1 and pass@k for the k that were drawn.

    With k samples, of which c pass, the unbiased estimators (arXiv 2107.03374, eq. 1) are
    pass@1 = c/k and pass@k = 1 when c > 0, else 0.
    """
    shape = pl.struct("code", "compile_ok", "tests_passed", "tests_total", "score")
    by_category = [shape.filter(pl.col("category") == c).alias(c) for c in ("correct", "partial", "wrong")]
    passing = pl.col("count").filter(pl.col("category") == "correct").sum()
    return (
        solutions.filter(pl.col("error").is_null())
        .group_by("problem_id", maintain_order=True)
        .agg(
            pl.col("prompt").first(),
            *by_category,
            (passing / pl.col("count").sum()).alias("pass_at_1"),
            (passing > 0).cast(pl.Float64).alias("pass_at_k"),
        )
        .drop("problem_id")
    )

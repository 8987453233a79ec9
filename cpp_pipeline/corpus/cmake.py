"""Training rows of the CMake specialist.

Belongs here: which instruction and CMakeLists.txt pairs it learns. Does not belong here: their making
(`extract`, `problems`).
"""

from __future__ import annotations

import polars as pl


def cmake_training_rows(cmake_sft: pl.LazyFrame, cmake_problems: pl.LazyFrame) -> pl.LazyFrame:
    """Rows (instruction, response) that a real configure accepted: from dumps, then generated ones.

    Generated problems of the split "eval" are held out; so is any row with the instruction of one.
    """
    dumped = cmake_sft.filter("configure_ok").sort("row_id").select("instruction", "response")
    generated = (
        cmake_problems.filter((pl.col("split") == "train") & pl.col("configure_ok"))
        .sort("problem_id")
        .select("instruction", response="reference")
    )
    held_out = cmake_problems.filter(split="eval").select("instruction")
    rows = pl.concat([dumped, generated]).unique(maintain_order=True, keep="first")
    return rows.join(held_out, on="instruction", how="anti", maintain_order="left")

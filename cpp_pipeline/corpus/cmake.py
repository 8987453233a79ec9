"""Training rows of the CMake specialist.

Belongs here: which instruction and CMakeLists.txt pairs it learns, and when two are the same. Does not belong here:
their making (`extract`, `problems`).
"""

from __future__ import annotations

import polars as pl

from cpp_pipeline.sandbox.cmake_lint import commands
from cpp_pipeline.schemas import TABLES

HELD_OUT = pl.col("split") == "eval"


def request_key(instruction: pl.Expr) -> pl.Expr:
    """An instruction without what people write differently: case and blanks."""
    return instruction.str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()


def answer_key(response: pl.Expr) -> pl.Expr:
    """A CMakeLists.txt as cmake reads it (`normalised`)."""
    return response.map_elements(normalised, return_dtype=pl.String)


def normalised(text: str) -> str:
    """Commands with their arguments, one a line: no comments, quotes and blanks, names of commands in small letters.

    What is no CMake stays as it is, but for blanks.
    """
    try:
        return "\n".join(" ".join((command.name, *command.args)) for command in commands(text))
    except ValueError:
        return " ".join(text.split())


def combined_cmake(cmake_sft: pl.LazyFrame, cmake_problems: pl.LazyFrame) -> pl.LazyFrame:
    """Rows of `combined_cmake` that a real configure accepted: from dumps, then generated ones.

    Generated problems of the split "eval" are held out; so is any row that asks or answers the same as one of them.
    Projects of both splits share their templates, so answers that are only near a held-out one stay.
    """
    dumped = cmake_sft.sort("row_id").select(
        "row_id",
        "instruction",
        "response",
        "licence",
        "configure_ok",
        source=pl.lit("dump"),
        provenance=pl.format("{}:{}:{}", "dump", "repo", "path"),
    )
    generated = (
        cmake_problems.filter(~HELD_OUT)
        .sort("problem_id")
        .select(
            "instruction",
            "configure_ok",
            row_id="problem_id",
            response="reference",
            source=pl.lit("generated"),
            licence=pl.lit(None, pl.String),
            provenance="problem_id",
        )
    )
    keys = {"asked": request_key(pl.col("instruction")), "answered": answer_key(pl.col("response"))}
    rows = pl.concat([dumped, generated], how="diagonal").filter("configure_ok").with_columns(**keys)
    rows = rows.unique(["instruction", "response"], keep="first", maintain_order=True)
    held_out = cmake_problems.filter(HELD_OUT).rename({"reference": "response"}).select(**keys)
    for key in keys:
        rows = rows.join(held_out.select(key), on=key, how="anti", maintain_order="left")
    return TABLES["combined_cmake"].conform(rows)

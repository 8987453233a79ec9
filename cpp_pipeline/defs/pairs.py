"""Pairs: documented functions, repairs, and CMake projects, each held to a verdict where there is one."""

import dagster as dg
import polars as pl

from cpp_pipeline.curate.distinct import distinct_pairs
from cpp_pipeline.curate.repairs import redacted_repairs
from cpp_pipeline.defs.code import VERDICTS
from cpp_pipeline.defs.resources import PRESET, SETTINGS
from cpp_pipeline.extract.cmake_facts import packages
from cpp_pipeline.extract.cmake_rows import cmake_rows
from cpp_pipeline.extract.diffs import diff_pairs
from cpp_pipeline.extract.pairs import docstring_pairs as documented_functions
from cpp_pipeline.problems.cmake_projects import generate, verify_projects
from cpp_pipeline.schemas import TABLES
from cpp_pipeline.storage.assets import table_asset
from cpp_pipeline.storage.scratch import scratch_folder


@table_asset(
    "docstring_pairs",
    "docstring_pairs_quarantine",
    group="pairs",
    kinds={"treesitter", "polars"},
    code=["extract", "curate"],
    plots={"docstring_pairs": "quality"},
)
def docstring_pairs(context: dg.AssetExecutionContext, clean_files: pl.LazyFrame) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Extract documented functions, without near duplicates."""
    scratch = scratch_folder()
    found = documented_functions(clean_files, context.partition_key, scratch, tell=context.log.info)
    return distinct_pairs(*found, scratch)


@table_asset(
    "diff_sft",
    "diff_sft_quarantine",
    group="pairs",
    kinds={"treesitter", "polars"},
    code=["extract", "curate"],
    plots={"diff_sft": "n_changed_tokens"},
)
def diff_sft(
    context: dg.AssetExecutionContext, commits: pl.LazyFrame, repairs: pl.LazyFrame
) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Turn commits and collected repairs into repairs of single functions."""
    scratch = scratch_folder()
    return redacted_repairs(*diff_pairs(commits, repairs, context.partition_key, scratch), scratch)


@table_asset(
    "cmake_packages",
    group="pairs",
    kinds={"cmake", "polars"},
    code=["extract"],
    description="Packages and targets as the dumps themselves name them; no table is shipped with the project.",
    plots={"cmake_packages": "package"},
)
def cmake_packages(context: dg.AssetExecutionContext, clean_files: pl.LazyFrame) -> pl.LazyFrame:
    """Collect packages and targets over all dumps."""
    return packages(clean_files)


@table_asset(
    "cmake_sft",
    "cmake_sft_quarantine",
    group="pairs",
    kinds={"cmake", "polars"},
    code=["extract", *VERDICTS],
    deps=["sandbox_canaries"],
    resources=frozenset({"sandbox"}),
    description="One instruction a file; packages that the file links are stubbed, so nothing is built.",
    plots={"cmake_sft": "stage"},
)
def cmake_sft(context: dg.AssetExecutionContext, clean_files: pl.LazyFrame) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Put the dump's CMakeLists.txt files into words and have them configured."""
    with context.resources.sandbox.client() as client:
        return cmake_rows(clean_files, context.partition_key, client)


@table_asset(
    "cmake_problems",
    group="pairs",
    kinds={"cmake", "polars"},
    code=["problems/cmake_projects.py", *VERDICTS],
    config={"train": PRESET.cmake_train, "eval": PRESET.cmake_eval, "seed": SETTINGS.seed},
    deps=["sandbox_canaries"],
    resources=frozenset({"sandbox"}),
    plots={"cmake_problems": "split_key"},
)
def cmake_problems(context: dg.AssetExecutionContext) -> pl.LazyFrame:
    """Generate projects and have their references configured."""
    rows = generate(PRESET.cmake_train, PRESET.cmake_eval, SETTINGS.seed)
    with context.resources.sandbox.client() as client:
        return TABLES["cmake_problems"].frame(verify_projects(rows, client))

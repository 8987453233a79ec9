"""Ingest: what lies in a dump, its readable files, and its commits."""

from pathlib import Path

import dagster as dg
import polars as pl

from cpp_pipeline.dumps.history import read_commits
from cpp_pipeline.dumps.listing import list_dump
from cpp_pipeline.dumps.reading import read_files
from cpp_pipeline.storage.assets import table_asset
from cpp_pipeline.storage.dumps import dump
from cpp_pipeline.storage.scratch import scratch_folder


def _path(context: dg.AssetExecutionContext) -> Path:
    return Path(dump(context.resources.storage.store, context.partition_key).path)


@table_asset("repo_dump", group="ingest", kinds={"git"}, code=["dumps"])
def repo_dump(context: dg.AssetExecutionContext) -> pl.LazyFrame:
    """List the dump as it lies there."""
    return list_dump(_path(context), context.partition_key, scratch_folder())


@table_asset(
    "source_files",
    "source_files_quarantine",
    group="ingest",
    kinds={"cpp", "polars"},
    code=["dumps"],
    deps=["repo_dump"],
    plots={"source_files": "language"},
)
def source_files(context: dg.AssetExecutionContext) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Read the files of the dump."""
    return read_files(_path(context), context.partition_key, scratch_folder())


@table_asset(
    "commits",
    "commits_quarantine",
    group="ingest",
    kinds={"git", "polars"},
    code=["dumps"],
    deps=["repo_dump"],
    plots={"commits": "repo"},
)
def commits(context: dg.AssetExecutionContext) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Read the file pairs of the dump's commits."""
    return read_commits(_path(context), context.partition_key, scratch_folder())

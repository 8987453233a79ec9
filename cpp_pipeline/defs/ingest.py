"""Ingest: what lies in a dump, its readable files, and its commits."""

from pathlib import Path

import dagster as dg
import polars as pl

from cpp_pipeline.dumps.history import read_commits
from cpp_pipeline.dumps.listing import list_dump
from cpp_pipeline.dumps.progress import Tell, words
from cpp_pipeline.dumps.reading import read_files
from cpp_pipeline.dumps.repairs import read_repairs
from cpp_pipeline.dumps.shards import Shard
from cpp_pipeline.storage.assets import table_asset
from cpp_pipeline.storage.dumps import dump_in_place
from cpp_pipeline.storage.scratch import scratch_folder


def _dump(context: dg.AssetExecutionContext) -> tuple[str, str, Path, Shard]:
    """What the readers take: where the dump lies, its key, a scratch folder, and which shard of it this is."""
    found = dump_in_place(context.resources.storage.store, context.partition_key)
    return found.path, found.name, scratch_folder(), found.shard


def _tell(context: dg.AssetExecutionContext) -> Tell:
    return lambda files, size_bytes: context.log.info(words(files, size_bytes))


@table_asset("repo_dump", group="ingest", kinds={"git"}, code=["dumps"], plots={"repo_dump": "size_bytes"})
def repo_dump(context: dg.AssetExecutionContext) -> pl.LazyFrame:
    """List the dump as it lies there."""
    return list_dump(*_dump(context), _tell(context))


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
    return read_files(*_dump(context), _tell(context))


@table_asset(
    "commits",
    "commits_quarantine",
    "repairs",
    "repairs_quarantine",
    group="ingest",
    kinds={"git", "polars"},
    code=["dumps"],
    deps=["repo_dump"],
    plots={"commits": "repo", "repairs": "licence"},
)
def commits(context: dg.AssetExecutionContext) -> tuple[pl.LazyFrame, ...]:
    """Read the file pairs of the dump's commits, and the repairs that others collected."""
    given = _dump(context)
    return *read_commits(*given), *read_repairs(*given)

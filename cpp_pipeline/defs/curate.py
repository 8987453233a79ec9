"""Curate: which files are worth learning from."""

import dagster as dg
import polars as pl

from cpp_pipeline.curate.files import clean
from cpp_pipeline.defs.resources import SETTINGS
from cpp_pipeline.storage.assets import table_asset


@table_asset(
    "clean_files",
    "dropped_files",
    group="curate",
    kinds={"polars"},
    code=["curate/files.py"],
    config={"allow_unknown_licence": SETTINGS.allow_unknown_licence},
    plots={"clean_files": "language", "dropped_files": "reason"},
)
def clean_files(context: dg.AssetExecutionContext, source_files: pl.LazyFrame) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Split the files into kept and dropped; redact what is kept."""
    return clean(source_files, allow_unknown=SETTINGS.allow_unknown_licence)

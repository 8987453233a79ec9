"""Sandbox: is every verdict of this machine to be believed?"""

import dagster as dg
import polars as pl

from cpp_pipeline.sandbox.canaries import run_canaries, summary
from cpp_pipeline.schemas import TABLES
from cpp_pipeline.storage.assets import table_asset


@table_asset(
    "sandbox_canaries",
    group="sandbox",
    kinds={"cpp"},
    code=["sandbox"],
    resources=frozenset({"sandbox"}),
    plots={"sandbox_canaries": "verdict"},
)
def sandbox_canaries(context: dg.AssetExecutionContext) -> pl.LazyFrame:
    """Judge programs of known verdict in every mode, and attacks."""
    with context.resources.sandbox.client() as client:
        rows = run_canaries(client)
    for line in summary(rows):
        context.log.info(line)
    return TABLES["sandbox_canaries"].frame(rows)

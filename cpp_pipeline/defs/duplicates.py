"""Duplicates over all dumps: what functions are compared by, which are alike, and which are left out."""

import dagster as dg
import polars as pl

from cpp_pipeline.curate import across, representatives, signatures
from cpp_pipeline.defs.resources import join_engine
from cpp_pipeline.storage.assets import table_asset
from cpp_pipeline.storage.scratch import scratch_folder
from cpp_pipeline.storage.store import Store


@table_asset(
    "function_signatures",
    group="pairs",
    kinds={"polars"},
    code=["curate/signatures.py"],
    plots={"function_signatures": "n_tokens"},
)
def function_signatures(context: dg.AssetExecutionContext, docstring_pairs: pl.LazyFrame) -> pl.LazyFrame:
    """Sign the functions of one dump."""
    return signatures.function_signatures(docstring_pairs)


@table_asset(
    "near_duplicate_edges",
    "compared_dumps",
    group="pairs",
    kinds={"duckdb", "polars"},
    code=["curate/across.py"],
    plots={"near_duplicate_edges": "jaccard", "compared_dumps": "n_functions"},
    description="Only new and changed dumps are compared, with each other and with the signatures of all others.",
)
def near_duplicate_edges(
    context: dg.AssetExecutionContext, function_signatures: pl.LazyFrame, docstring_pairs: pl.LazyFrame
) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Compare what was not compared before."""
    store, name = context.resources.storage.store, "function_signatures"
    found = {dump: store.provenance(name, dump) for dump in store.partitions(name)}
    versions = {dump: p.data_version for dump, p in found.items() if p is not None}
    with join_engine() as engine:
        before = _before(store)
        made = across.compare(function_signatures, docstring_pairs, versions, before, engine, scratch_folder())
    return made.edges, made.dumps


def _before(store: Store) -> across.Compared | None:
    """Both tables of the last time; None when there are none, or a run was killed between the two."""
    edges, dumps = store.provenance("near_duplicate_edges"), store.provenance("compared_dumps")
    if edges is None or dumps is None or edges.inputs_digest != dumps.inputs_digest:
        return None
    return across.Compared(store.scan("near_duplicate_edges"), store.scan("compared_dumps"))


@table_asset(
    "duplicate_pairs",
    group="pairs",
    kinds={"polars"},
    code=["curate/representatives.py"],
    plots={"duplicate_pairs": "jaccard"},
)
def duplicate_pairs(
    context: dg.AssetExecutionContext, function_signatures: pl.LazyFrame, near_duplicate_edges: pl.LazyFrame
) -> pl.LazyFrame:
    """Choose the best of each group of duplicates."""
    return representatives.duplicate_pairs(function_signatures, near_duplicate_edges)

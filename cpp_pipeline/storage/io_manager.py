"""Parquet in, parquet out: the one IO manager of all tables."""

from __future__ import annotations

from typing import Any

import dagster as dg
import polars as pl

from cpp_pipeline.schemas import TABLES
from cpp_pipeline.storage.currency import stamp
from cpp_pipeline.storage.place import at
from cpp_pipeline.storage.recipes import recipe_of
from cpp_pipeline.storage.scratch import release_spool
from cpp_pipeline.storage.store import Store

DATA_VERSION = "cpp_pipeline/data_version"
ROWS = "cpp_pipeline/rows"
KEPT = "cpp_pipeline/kept"
INPUTS = "cpp_pipeline/inputs_digest"
REPLACES = "cpp_pipeline/replaces"
"""Output metadata: what lay there when the work began, so that of two writers the second is refused."""


class ParquetIOManager(dg.ConfigurableIOManager):
    """Keeps each partition of a table as one parquet file under `root`.

    A table that is joined over partitions is read as one frame, whether there are 0, 1 or 50 of
    them; a partition that was never materialized is left out and named in the log.
    """

    root: str

    def handle_output(self, context: dg.OutputContext, obj: pl.LazyFrame) -> None:
        """Write the frame with its provenance, unless it is the kept file itself."""
        spec = context.asset_spec
        facts = context.output_metadata
        asset = spec.key.path[-1]
        partition = context.partition_key if context.has_partition_key else None
        store = Store(self.root)
        path = store.table_path(asset, partition)
        if not _value(facts.get(KEPT)):
            inputs, version = str(_value(facts[INPUTS])), str(_value(facts[DATA_VERSION]))
            provenance = stamp(recipe_of(spec), partition, inputs, version, int(_value(facts[ROWS])))
            path = store.write_table(obj, provenance, str(_value(facts[REPLACES])))
            release_spool(obj)
        context.add_output_metadata({"path": dg.MetadataValue.path(str(path)), "size_bytes": at(path).size()})

    def load_input(self, context: dg.InputContext) -> pl.LazyFrame:
        """Scan what the downstream asset asks for."""
        asset = context.asset_key.path[-1]
        store = Store(self.root)
        if not TABLES[asset].partitioned:
            if not store.has_table(asset):
                raise FileNotFoundError(_not_made(asset, asset))
            return store.scan(asset)
        wanted = list(context.asset_partition_keys) if context.has_asset_partitions else store.partitions(asset)
        there = set(store.partitions(asset))
        absent = [key for key in wanted if key not in there]
        if absent and context.has_partition_key:
            raise FileNotFoundError(_not_made(f"{asset} of dump {absent[0]}", asset))
        if absent:
            context.log.warning(f"{asset}: no data yet for {', '.join(absent)}; going on without")
        return store.scan(asset, sorted(key for key in wanted if key in there))


def _not_made(what: str, asset: str) -> str:
    return f"{what} has not been made: run --select '+{asset}' first, or the whole chain"


def _value(metadata: object) -> Any:
    return getattr(metadata, "value", metadata)

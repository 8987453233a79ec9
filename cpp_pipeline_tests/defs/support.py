"""What the tests of the definitions are made with: valid rows of any table, and a bench to run assets on.

Belongs here: ways to materialize real assets on small inputs. Does not belong here: an asset, an expectation.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from cpp_pipeline.runner import QUIET
from cpp_pipeline.schemas import TABLES, Column
from cpp_pipeline.storage.assets import StoreResource, repo_dumps
from cpp_pipeline.storage.currency import Recipe, stamp
from cpp_pipeline.storage.io_manager import ParquetIOManager
from cpp_pipeline.storage.store import Store

Asset = dg.AssetsDefinition | dg.AssetSpec | dg.AssetChecksDefinition
Frames = Mapping[str, pl.DataFrame]


def row(table: str, number: int = 0, /, **values: Any) -> dict[str, Any]:
    """A row that fits the declaration of a table; `number` makes its key, `values` replace columns."""
    declared = TABLES[table]
    unknown = values.keys() - set(declared.schema)
    if unknown:
        raise KeyError(f"table {table} has no column {sorted(unknown)}")
    made = {c.name: _value(c, number if c.name in declared.key else 0) for c in declared.columns}
    return {**made, **values}


def frame(table: str, *rows: Mapping[str, Any]) -> pl.DataFrame:
    """Rows as a frame of exactly this table."""
    return TABLES[table].frame([dict(r) for r in rows]).collect()


def _value(column: Column, number: int) -> Any:
    if column.nullable:
        return None
    if column.isin:
        return column.isin[0]
    if column.dtype == pl.String:
        return f"{column.name} {number}"
    if column.dtype == pl.Int64:
        return number + int(column.ge or 0)
    if column.dtype == pl.Float64:
        return max(0.5, column.ge or 0.0)
    if column.dtype == pl.Binary:
        return b""
    return False if column.dtype == pl.Boolean else []


class Bench:
    """A storage root on which single assets are run through their real functions."""

    def __init__(self, root: Path, instance: dg.DagsterInstance, resources: Mapping[str, Any] | None = None) -> None:
        self.store = Store(str(root))
        self.instance = instance
        self.resources = {"storage": StoreResource(root=str(root)), **(resources or {})}

    def in_memory(
        self, *assets: dg.AssetsDefinition, inputs: Frames | None = None, partition: str | None = None
    ) -> dict[str, pl.DataFrame]:
        """Materialize `assets` together in memory; every input is a planted asset of the same key."""
        planted = [_planted(name, rows, partition) for name, rows in (inputs or {}).items()]
        result = dg.materialize_to_memory(
            [*planted, *assets],
            instance=self.instance,
            resources=self.resources,
            partition_key=partition,
            run_config=QUIET,
        )
        names = [key.path[-1] for asset in assets for key in asset.keys]
        return {name: result.asset_value(name).collect() for name in names}

    def stored(self, asset: dg.AssetsDefinition, dumps: Mapping[str, Frames], inputs: Frames | None = None) -> Store:
        """Materialize a joined asset from stored tables: `dumps` holds the partitioned ones by dump."""
        for dump, frames in dumps.items():
            for name, rows in frames.items():
                self.write(name, rows, dump)
        for name, rows in (inputs or {}).items():
            self.write(name, rows)
        names = [key.path[-1] for key in asset.dependency_keys]
        upstream = [dg.AssetSpec(n, partitions_def=repo_dumps if TABLES[n].partitioned else None) for n in names]
        assert self.run([*upstream, asset]).success
        return self.store

    def write(self, name: str, rows: pl.DataFrame, partition: str | None = None) -> None:
        """Put one table file in place."""
        provenance = stamp(Recipe(name, (), "", ""), partition, "", "planted", rows.height)
        self.store.write_table(rows.lazy(), provenance)

    def run(
        self,
        assets: list[Asset],
        *,
        raise_on_error: bool = True,
        partition: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> dg.ExecuteInProcessResult:
        """Materialize with tables on disk."""
        resources = {**self.resources, "io_manager": ParquetIOManager(root=str(self.store.root))}
        return dg.materialize(
            assets,
            instance=self.instance,
            resources=resources,
            raise_on_error=raise_on_error,
            partition_key=partition,
            run_config=QUIET,
            tags=tags,
        )

    def as_stored(self, name: str, rows: pl.DataFrame, partition: str | None = None) -> dg.AssetsDefinition:
        """An asset of this name whose table on disk has these rows, whether they fit the schema or not."""
        bench = self

        class Writer(ParquetIOManager):
            """Writes what it is given."""

            def handle_output(self, context: dg.OutputContext, obj: pl.LazyFrame) -> None:
                bench.write(name, obj.collect(), partition)

        @dg.asset(
            name=name,
            partitions_def=repo_dumps if partition else None,
            dagster_type=dg.Any,
            io_manager_def=Writer(root=str(self.store.root)),
        )
        def stored() -> pl.LazyFrame:
            return rows.lazy()

        return stored


def _planted(name: str, rows: pl.DataFrame, partition: str | None) -> dg.AssetsDefinition:
    partitioned = partition is not None and TABLES[name].partitioned

    @dg.asset(name=name, partitions_def=repo_dumps if partitioned else None, dagster_type=dg.Any)
    def planted() -> pl.LazyFrame:
        return rows.lazy()

    return planted

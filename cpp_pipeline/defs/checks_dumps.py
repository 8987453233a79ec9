"""A check of how much of a dump was read, and all checks of tables of one dump.

It warns: what was read of a damaged dump is used like any other. Does not belong here: what rows have to mean
(`checks`), who is told of a dump's failed checks (`automation`).
"""

import dagster as dg
import polars as pl

from cpp_pipeline.defs.checks import row_checks, schema_checks
from cpp_pipeline.dumps.items import CUT_SHORT
from cpp_pipeline.schemas import TABLES
from cpp_pipeline.storage.assets import repo_dumps
from cpp_pipeline.storage.checks import asset_check, told


def _read_to_the_end(table: str) -> dg.AssetChecksDefinition:
    @asset_check(
        asset=table,
        name="read_to_the_end",
        partitions_def=repo_dumps,
        description="Every archive, table and repository of the dump was read to its end; names those that were not, "
        "and why. A warning: what was read is used.",
    )
    def read_to_the_end(asset: pl.LazyFrame) -> dg.AssetCheckResult:
        found = told(asset.filter(pl.col("reason").is_in(CUT_SHORT)).select("row_id", "reason", "detail"))
        return dg.AssetCheckResult(passed=found.passed, severity=dg.AssetCheckSeverity.WARN, metadata=found.metadata)

    return read_to_the_end


whole_checks = [_read_to_the_end(name) for name in ("source_files_quarantine", "commits_quarantine")]

dump_checks = [
    spec
    for check in (*schema_checks, *row_checks, *whole_checks)
    for spec in check.check_specs
    if TABLES[spec.asset_key.path[-1]].partitioned
]
"""What the checks of tables of one dump are called, and which of them block."""

"""What the checks of tables have in common.

Belongs here: from offending rows to a result. Does not belong here: a check.
"""

from __future__ import annotations

import dagster as dg
import polars as pl

SHOWN = 5


def told(offenders: pl.LazyFrame) -> dg.AssetCheckResult:
    """Passed when there are no rows; else how many, and the first ones. `offenders` is narrow: the key of each row."""
    count = offenders.select(pl.len()).collect(engine="streaming").item()
    first = offenders.head(SHOWN).collect(engine="streaming").to_dicts() if count else []
    return dg.AssetCheckResult(
        passed=count == 0, metadata={"offending_rows": count, "first": dg.MetadataValue.json(first)}
    )

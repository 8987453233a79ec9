"""What all checks have in common: each leaves word below the root of what it let pass, and tells of offending rows.

So data count as checked whoever had them made: the command line, the UI, a sensor, a backfill, on this machine or in
pods. Belongs here: leaving word, results. Does not belong here: a check (`defs/checks*.py`), or who asks (`runner`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from typing import Any

import dagster as dg
import polars as pl

from cpp_pipeline.launch.steps import not_tried_again, step_options
from cpp_pipeline.schemas import TABLES
from cpp_pipeline.storage.store import Store

SHOWN = 5
RECORDED = "cpp_pipeline/recorded"
"""Metadata of every check that leaves word; one that does not would make its asset look stale for ever."""


def asset_check(
    *,
    asset: str,
    name: str = "",
    required_resource_keys: Collection[str] = (),
    metadata: dict[str, Any] | None = None,
    **options: Any,
) -> Callable[[Callable[..., dg.AssetCheckResult]], dg.AssetChecksDefinition]:
    """`dagster.asset_check` that writes its outcome beside the data; takes the same options.

    Nothing is written when the data are replaced while the check reads them. Its step has the retries of all steps, and
    the machine of `CPP_PIPELINE_WATCH_SHAPE`.
    """

    def wrap(function: Callable[..., dg.AssetCheckResult]) -> dg.AssetChecksDefinition:
        check = name or function.__name__
        step = step_options(f"{asset}_{check}", is_check=True)

        @functools.wraps(function)
        def evaluate(*args: Any, **inputs: Any) -> dg.AssetCheckResult:
            try:
                context = dg.AssetCheckExecutionContext.get()
            except dg.DagsterInvariantViolationError:  # called by itself, not by a run
                return function(*args, **inputs)
            store: Store = context.op_execution_context.resources.storage.store
            partitioned = asset in TABLES and TABLES[asset].partitioned
            partition = context.op_execution_context.partition_key if partitioned else None
            before = _version(store, asset, partition)
            with not_tried_again(step):
                result = function(*args, **inputs)
            if before is not None and _version(store, asset, partition) == before:
                lets_pass = result.passed or result.severity == dg.AssetCheckSeverity.WARN
                store.mark_check(asset, partition, check, before, lets_pass)
            return result

        resources = {"storage", *required_resource_keys}
        facts = {**(metadata or {}), RECORDED: True}
        return dg.asset_check(
            asset=asset,
            name=check,
            required_resource_keys=resources,
            metadata=facts,
            retry_policy=step.retry_policy,
            op_tags=step.op_tags,
            **options,
        )(evaluate)

    return wrap


def _version(store: Store, asset: str, partition: str | None) -> str | None:
    """The data version of what lies there; None of what says nothing of itself, which `currency` never takes."""
    try:
        found = store.provenance(asset, partition)
    except ValueError:
        return None
    return found.data_version if found else None


def told(offenders: pl.LazyFrame) -> dg.AssetCheckResult:
    """Passed when there are no rows; else how many, and the first ones. `offenders` is narrow: the key of each row."""
    count = offenders.select(pl.len()).collect(engine="streaming").item()
    first = offenders.head(SHOWN).collect(engine="streaming").to_dicts() if count else []
    return dg.AssetCheckResult(
        passed=count == 0, metadata={"offending_rows": count, "first": dg.MetadataValue.json(first)}
    )

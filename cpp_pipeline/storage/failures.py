"""Why steps and dumps failed, in the words of the error itself, read from Dagster's records.

Belongs here: finding a cause and wording it. Does not belong here: who is told (`summary`, `defs/automation.py`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import dagster as dg
from dagster_shared.error import SerializableErrorInfo

from cpp_pipeline.schemas import TABLES
from cpp_pipeline.storage.assets import repo_dumps

_MODULE = re.compile(r"^(\w+\.)+(?=\w+: )")
_FAILED = "FAILED"
_PARTITION_TAG = "dagster/partition"


def innermost(error: SerializableErrorInfo | None) -> SerializableErrorInfo | None:
    """The error below those that Dagster wraps around it; a cause of our own error says less than the error itself."""
    while error is not None and error.cause is not None and (error.cls_name or "").startswith("Dagster"):
        error = error.cause
    return error


def in_words(error: SerializableErrorInfo | None) -> str:
    """An error's class and message."""
    found = innermost(error)
    return _MODULE.sub("", (found.message if found else "no message").strip())


def failed_dumps(instance: dg.DagsterInstance) -> dict[str, str]:
    """Dumps of which the last run of any table failed, each with the cause.

    Such a dump is left out of the joined tables, or is there as it was before.
    """
    keys = instance.get_dynamic_partitions(repo_dumps.name or "")
    failed: set[str] = set()
    for name in (name for name, table in TABLES.items() if table.partitioned):
        found: Mapping[str, object] = instance.get_status_by_partition(dg.AssetKey(name), keys, repo_dumps) or {}
        failed |= {key for key, status in found.items() if status is not None and str(status).endswith(_FAILED)}
    return {key: _cause(instance, key) for key in sorted(failed)}


def _cause(instance: dg.DagsterInstance, key: str) -> str:
    """What the last failed run of a dump died of."""
    tags = {_PARTITION_TAG: key}
    wanted = dg.RunsFilter(tags=tags, statuses=[dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED])
    for record in instance.get_run_records(wanted, limit=1):
        entries = instance.all_logs(record.dagster_run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
        for event in (entry.get_dagster_event() for entry in entries):
            return f"{event.step_key}: {in_words(event.step_failure_data.error)}"
        return f"run {record.dagster_run.run_id} ended as {record.dagster_run.status.value} outside of any step"
    return "its run is no longer in the records"

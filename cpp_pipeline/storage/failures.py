"""Why steps and dumps failed, in the words of the error itself, read from Dagster's records.

Belongs here: finding a cause and wording it. Does not belong here: who is told (`summary`, `defs/automation.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import dagster as dg
from dagster._core.definitions.partitions.context import partition_loading_context
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionResolvedStatus
from dagster._core.storage.asset_check_state import AssetCheckState
from dagster_shared.error import SerializableErrorInfo

from cpp_pipeline.schemas import TABLES
from cpp_pipeline.storage.assets import repo_dumps

_MODULE = re.compile(r"^(\w+\.)+(?=\w+: )")
_FAILED = "FAILED"
_PARTITION_TAG = "dagster/partition"
_BROKE = AssetCheckExecutionResolvedStatus.EXECUTION_FAILED
_SEEN_CHARACTERS = 500


def innermost(error: SerializableErrorInfo | None) -> SerializableErrorInfo | None:
    """The error below those that Dagster wraps around it; a cause of our own error says less than the error itself."""
    while error is not None and error.cause is not None and (error.cls_name or "").startswith("Dagster"):
        error = error.cause
    return error


def in_words(error: SerializableErrorInfo | None) -> str:
    """An error's class and message."""
    found = innermost(error)
    return _MODULE.sub("", (found.message if found else "no message").strip())


def failed_dumps(instance: dg.DagsterInstance, checks: Iterable[dg.AssetCheckSpec]) -> dict[str, str]:
    """Dumps that are not in the joined tables as they should be, each with the causes and the way out.

    Their last run failed, and they are left out or there as before; a blocking check failed, and the tables joined
    from what it checks stand still for all dumps; or a check warns, and only what could be read of them is there.

    Parameters
    ----------
    checks
        The checks of tables of one dump that are to be told.
    """
    keys = instance.get_dynamic_partitions(repo_dumps.name or "")
    failed = {name: _failed(instance, name, keys) for name, table in TABLES.items() if table.partitioned}
    causes = {key: [_cause(instance, key)] for key in sorted(set().union(*failed.values()))}
    specs = {spec.key: spec for spec in checks}
    for check, (unsound, broken) in _not_passed(instance, list(specs)).items():
        # Where the table itself failed, its checks were not asked.
        for key in sorted((unsound | broken - failed[check.asset_key.path[-1]]) & set(keys)):
            causes.setdefault(key, []).append(_words(instance, specs[check], key))
    return {key: "; ".join(causes[key]) for key in sorted(causes)}


def _failed(instance: dg.DagsterInstance, table: str, keys: Sequence[str]) -> set[str]:
    found: Mapping[str, object] = instance.get_status_by_partition(dg.AssetKey(table), keys, repo_dumps) or {}
    return {key for key, status in found.items() if status is not None and str(status).endswith(_FAILED)}


def _not_passed(
    instance: dg.DagsterInstance, checks: Sequence[dg.AssetCheckKey]
) -> dict[dg.AssetCheckKey, tuple[set[str], set[str]]]:
    """Of each check the dumps that do not pass it, and those on which it broke: what conditions go by, too."""
    with partition_loading_context(dynamic_partitions_store=instance):
        states = instance.event_log_storage.get_asset_check_state([(key, repo_dumps) for key in checks])
        return {
            key: (_keys(state, AssetCheckExecutionResolvedStatus.FAILED), _keys(state, _BROKE))
            for key, state in states.items()
        }


def _keys(state: AssetCheckState, status: AssetCheckExecutionResolvedStatus) -> set[str]:
    return set(state.subsets[status].subset_value.get_partition_keys())


def _words(instance: dg.DagsterInstance, check: dg.AssetCheckSpec, key: str) -> str:
    """Table, check, what was seen, what that stops, and what to do."""
    table = check.asset_key.path[-1]
    read = instance.event_log_storage.get_latest_asset_check_execution_by_key
    record = read([check.key], partition_filter=PartitionKeyFilter(key=key)).get(check.key)
    told = record.event.dagster_event if record is not None and record.event is not None else None
    if told is None or told.event_type != dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        seen = "the check itself broke"
    else:
        seen = ", ".join(f"{k} {v.value}" for k, v in told.asset_check_evaluation_data.metadata.items())
    repair = "repair the dump and launch data_stages for it"
    if check.blocking:
        stops = f"nothing is joined from {table} of any dump before it passes: {repair}, or take it away: "
        what = f"{stops}`cpp-pipeline dumps remove {key}`"
    else:
        what = f"the dump is used as far as it was read; to have all of it, {repair}"
    return f"{table} does not pass {check.name}: {seen[:_SEEN_CHARACTERS]}; {what}"


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

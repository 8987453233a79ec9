"""Automation: dumps are seen and followed by their data stages; models are trained when people say so.

What is automatic, and when, is said in `storage/automation.py`. Sensors and schedule run from the start where
`CPP_PIPELINE_INBOX` names a place of new dumps; elsewhere they wait to be switched on in the UI.
"""

import json

import dagster as dg
import polars as pl

from cpp_pipeline.defs.checks_dumps import dump_checks
from cpp_pipeline.defs.resources import SETTINGS
from cpp_pipeline.storage import automation, watch
from cpp_pipeline.storage.assets import StoreResource
from cpp_pipeline.storage.checks import asset_check
from cpp_pipeline.storage.failures import failed_dumps

_ON = bool(SETTINGS.inbox)
_SENSOR = dg.DefaultSensorStatus.RUNNING if _ON else dg.DefaultSensorStatus.STOPPED
_SCHEDULE = dg.DefaultScheduleStatus.RUNNING if _ON else dg.DefaultScheduleStatus.STOPPED
_INVENTORY = ("duplicate_pairs", "no_dump_failed")

data_stages = dg.define_asset_job(
    watch.DUMP_JOB,
    automation.dump_stages(),
    description="Everything that is made of one dump: its files, commits, documented functions, repairs, CMake rows. "
    "Launch it for a dump, or backfill it over many. It judges CMake files, so materialize sandbox_canaries first.",
)
joined_tables = dg.define_asset_job(
    watch.JOINED_JOB,
    automation.joined_stages(),
    description="Everything that is joined over all dumps and needs no model: the sandbox's canaries, duplicates, "
    "problems, decontamination, supervised rows of documented functions.",
)
training = dg.define_asset_job(
    "training",
    automation.training_stages(),
    description="Everything that trains, samples or evaluates a model, from the tokenizer to the model report, with "
    "the tables between. Takes hours at the larger presets; nothing starts it but people.",
)


@dg.sensor(
    jobs=[data_stages, joined_tables],
    minimum_interval_seconds=60,
    default_status=_SENSOR,
    description="Registers dumps that arrive below CPP_PIPELINE_INBOX and starts the data stages of every dump that "
    "is new to Dagster. Forgets the partitions of removed dumps and has the joined tables made without them.",
)
def new_dumps(context: dg.SensorEvaluationContext, storage: StoreResource) -> dg.SensorResult:
    """Look for dumps."""
    return watch.look(context, storage.store, SETTINGS.inbox, SETTINGS.inbox_settled_seconds)


@dg.schedule(
    job=data_stages,
    cron_schedule=automation.DUMPS_WEEKLY,
    default_status=_SCHEDULE,
    description="Runs the data stages of every dump, so that a dump that has changed where it lies is read again. "
    "What is current is kept.",
)
def every_dump_weekly(context: dg.ScheduleEvaluationContext, storage: StoreResource) -> list[dg.RunRequest]:
    """Ask for a run of each dump."""
    return list(watch.every_dump(context.instance, storage.store, f"{context.scheduled_execution_time:%Y-%m-%d}"))


data_follows_dumps = dg.AutomationConditionSensorDefinition(
    "data_follows_dumps",
    target=automation.dump_stages() | automation.joined_stages(),
    run_tags=automation.SKIP,
    default_status=_SENSOR,
    description="Makes what is missing of a dump, and the joined tables once changed dumps have come to rest.",
)


@asset_check(
    asset=_INVENTORY[0],
    name=_INVENTORY[1],
    description="No dump is missing or out of date here because its last run failed, holds up the joined tables with a "
    "failed blocking check, or could be read in part only; names those that do, the cause and the way out.",
)
def no_dump_failed(context: dg.AssetCheckExecutionContext, asset: pl.LazyFrame) -> dg.AssetCheckResult:
    """List what failed by the records of this instance."""
    failed = failed_dumps(context.instance, dump_checks)
    return dg.AssetCheckResult(passed=not failed, severity=dg.AssetCheckSeverity.WARN, metadata={"failed": failed})


@dg.sensor(
    minimum_interval_seconds=300,
    default_status=_SENSOR,
    description="Reports to the check no_dump_failed of duplicate_pairs when a dump or a check of it fails, or is "
    "repaired.",
)
def failed_dumps_reported(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Tell of failed dumps between the runs of the joined tables."""
    failed = failed_dumps(context.instance, dump_checks)
    cursor = json.dumps(failed)
    if cursor == (context.cursor or "{}"):
        return dg.SensorResult(skip_reason=f"as before: {len(failed)} failed dumps", cursor=cursor)
    asset, name = _INVENTORY
    told = dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(asset),
        check_name=name,
        passed=not failed,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"failed": dg.MetadataValue.json(failed)},
    )
    return dg.SensorResult(asset_events=[told], cursor=cursor)

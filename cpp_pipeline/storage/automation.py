"""What runs by itself, when, and what never does: the policies, in one place.

Data stages follow the dumps by themselves. Whatever trains, samples or evaluates a model is started by people, for it
costs hours and machines. Belongs here: which assets, their conditions and freshness. Does not belong here: looking for
dumps (`watch`), or the sensors and jobs that Dagster loads (`defs/automation.py`).

A run of a dump is begun by the sensor that has seen the dump, never by a condition: `repo_dump`, where it starts, has
none, and everything after it waits for it. So two runs never begin with one dump.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import dagster as dg
from dagster import AutomationCondition as When

from cpp_pipeline.schemas import TABLES

DUMPS_WEEKLY = "0 2 * * 0"
"""Sunday, 02:00 UTC: the data stages of every dump, whatever has changed outside of the graph."""
JOINED_DAILY = "0 5 * * *"
"""The joined tables, should one have failed; what is current is kept."""
SKIP_TAG = "cpp_pipeline/skip_current"
"""Run tag: an asset that is current when its turn comes keeps its data."""
SKIP = {SKIP_TAG: "1"}
CANARIES = "sandbox_canaries"
JUDGED = ("cmake_sft", "cmake_sft_quarantine")
"""What is made of one dump with verdicts of the sandbox, so after its canaries."""

_GROUPS = ("ingest", "curate", "pairs", "problems", "sandbox")
_CORPUS = ("decontamination_report", "docstring_sft", "combined_cmake")
"""Of the group corpus, the tables for which no model has to be trained first."""
_REPORTS = "evals"
_BY_SENSOR = "repo_dump"
_PARTITIONED = tuple(name for name, table in TABLES.items() if table.partitioned)


def dump_stages() -> dg.AssetSelection:
    """What is made of one dump."""
    return dg.AssetSelection.assets(*_PARTITIONED)


def joined_stages() -> dg.AssetSelection:
    """What is made of all dumps together without a model: tables, problems, the sandbox's canaries."""
    return (dg.AssetSelection.groups(*_GROUPS) | dg.AssetSelection.assets(*_CORPUS)) - dump_stages()


def training_stages() -> dg.AssetSelection:
    """Everything else: tokenizer, corpus, checkpoints, sampled solutions, reports."""
    return dg.AssetSelection.all() - joined_stages() - dump_stages()


def condition(name: str, group: str) -> When[Any] | None:
    """When an asset is made by itself; None for one that people or the dump sensor start."""
    if name == _BY_SENSOR or not _by_itself(name, group):
        return None
    return _when_missing() if name in _PARTITIONED else _when_inputs_changed()


def freshness(name: str, group: str) -> dg.FreshnessPolicy | None:
    """How old an asset may get before the UI says so: Dagster knows one age for an asset, none for a partition.

    What is made by itself may be weeks old; checkpoints, and what is made when people train, months. Reports, which
    nothing is made from, are as old as the checkpoint that they are of.
    """
    if name in _PARTITIONED or group == _REPORTS:
        return None
    fail, warn = (22, 8) if _by_itself(name, group) else (90, 30)
    return dg.FreshnessPolicy.time_window(fail_window=timedelta(days=fail), warn_window=timedelta(days=warn))


def _by_itself(name: str, group: str) -> bool:
    return group in _GROUPS or name in _CORPUS


def _when_missing() -> When[Any]:
    """A partition that was never made, once all that it reads is there; one whose run failed waits for people."""
    return (
        _missing() & ~When.any_deps_missing() & ~When.in_progress() & ~When.execution_failed() & ~_unsound_inputs()
    ).with_label("missing, and its inputs are sound")


def _when_inputs_changed() -> When[Any]:
    """A joined table: once new data of any dump have come to rest, whether or not other dumps have data yet.

    It is made once for many dumps, since it waits while any is on its way, and not at all when their data are the same
    as before. What is missing of tables that are joined themselves is waited for. Only a request that came after the
    change has handled it: a run that is under way meanwhile may have read the input before.
    """
    changed = When.any_deps_match(
        (When.data_version_changed() & ~When.executed_with_root_target()) | When.will_be_requested()
    ).with_label("data of an input changed")
    outdated = changed | When.code_version_changed() | When.cron_tick_passed(JOINED_DAILY)
    return (
        (_missing() | outdated.since(When.newly_requested() & ~outdated))
        & ~When.any_deps_missing().ignore(dump_stages())
        & ~When.any_deps_in_progress()
        & ~When.in_progress()
        & ~_unsound_inputs()
    ).with_label("inputs changed and are sound")


def _missing() -> When[Any]:
    """Never made, and not asked for since it is missing.

    `AutomationCondition.on_missing()` overlooks what was missing when it was first looked at: in a new Dagster home
    nobody would ask for the canaries, and nothing that uses verdicts would ever be made.
    """
    asked_for = When.newly_requested() | When.newly_updated()
    return When.missing().newly_true().since(asked_for).with_label("missing")


def _unsound_inputs() -> When[Any]:
    """A blocking check of an input, of any dump, failed, broke or is still to be heard of: nothing is made from that.

    Where the input itself failed, its checks were not asked; what lies there then is as it was before, or nothing.
    """
    failed = When.any_checks_match(When.check_failed() | When.in_progress(), blocking_only=True)
    broke = When.any_checks_match(When.execution_failed(), blocking_only=True) & ~When.execution_failed()
    return When.any_deps_match(failed | broke).with_label("an input is unsound")

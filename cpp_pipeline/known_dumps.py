"""What Dagster knows of a root's dumps, kept in step with `cpp-pipeline dumps`.

Belongs here: finding the Dagster instance of a root, adding and deleting partitions there, and saying in words what
came of it. Does not belong here: the dumps themselves (`storage/dumps.py`), or the sensor that sees them
(`storage/watch.py`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import dagster as dg

from cpp_pipeline.main_job import dagster_home, dagster_instance
from cpp_pipeline.settings import Settings
from cpp_pipeline.storage.assets import repo_dumps

_SENSOR = "new_dumps"
_ALIVE_SECONDS = 180.0
"""The sensor is asked every minute where a daemon runs."""
_NOBODY_TOLD = "no Dagster instance was told, because DAGSTER_HOME is not set: on a cluster "


def check_home(root: str) -> None:
    """Refuse a `DAGSTER_HOME` that cannot be, before anything is written.

    Raises
    ------
    ValueError
        It names no folder.
    """
    if Settings.from_env().dagster_home:
        dagster_home(root)


def added(root: str, names: Sequence[str]) -> str:
    """Make dumps partitions of the root's Dagster instance; returns in words what came of it.

    A sensor that is at work there starts the data stages of what Dagster does not know, so it is left to it.
    """
    home = _home(root)
    if home is None and "://" in root:
        how = f"the sensor `{_SENSOR}` registers {_them(names)} when it is on; elsewhere `cpp-pipeline run` does"
        return _NOBODY_TOLD + how
    if home is None:
        return f"`cpp-pipeline run` or `cpp-pipeline ui` makes {_partitions(names)} of it"
    with dagster_instance(root) as instance:
        if set(names) <= set(instance.get_dynamic_partitions(repo_dumps.name or "")):
            return f"known to the Dagster instance {home} before"
        if _sensor_is_at_work(instance):
            return f"the sensor `{_SENSOR}` registers {_them(names)} within a minute and starts the data stages"
        instance.add_dynamic_partitions(repo_dumps.name or "", list(names))
    return f"{_partitions(names)} in the Dagster instance {home}"


def removed(root: str, names: Sequence[str]) -> str:
    """Delete partitions of the root's Dagster instance; returns in words what came of it."""
    home = _home(root)
    if home is None and "://" in root:
        return f"{_NOBODY_TOLD}the sensor `{_SENSOR}` deletes the partition, when it is on"
    if home is None:
        return "no Dagster instance knew it"
    with dagster_instance(root) as instance:
        for name in names:
            instance.delete_dynamic_partition(repo_dumps.name or "", name)
    return f"and its {_partitions(names).removeprefix('a ')} in the Dagster instance {home}"


def _home(root: str) -> Path | None:
    """The home of an instance that is there; that of a bucket is named by `DAGSTER_HOME` alone."""
    is_own = "://" not in root and (Path(root) / ".dagster" / "dagster.yaml").is_file()
    return dagster_home(root) if is_own or Settings.from_env().dagster_home else None


def _sensor_is_at_work(instance: dg.DagsterInstance) -> bool:
    data = [s.sensor_instigator_data for s in instance.all_instigator_state() if s.name == _SENSOR and s.is_running]
    return any(d and d.last_tick_timestamp and d.last_tick_timestamp > time.time() - _ALIVE_SECONDS for d in data)


def _them(names: Sequence[str]) -> str:
    return "it" if len(names) == 1 else f"its {_partitions(names)}"


def _partitions(names: Sequence[str]) -> str:
    return "a partition" if len(names) == 1 else f"{len(names)} partitions"

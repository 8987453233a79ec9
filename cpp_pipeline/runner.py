"""Materialize what is not current, in as few Dagster runs as the graph allows.

This is the shell behind `cpp-pipeline run`: it plans with footers (`storage.currency`), runs the
stale part dump by dump and then the joined part in the user's Dagster instance, and tells how it
went. `dagster dev` with the same instance shows the same runs.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from cpp_pipeline.selection import checks_of, made_together, select
from cpp_pipeline.storage.assets import repo_dumps
from cpp_pipeline.storage.automation import SKIP
from cpp_pipeline.storage.currency import is_current
from cpp_pipeline.storage.dumps import dumps
from cpp_pipeline.storage.gcs import remembered_reads
from cpp_pipeline.storage.lock import alone
from cpp_pipeline.storage.recipes import recipe_of
from cpp_pipeline.storage.store import Store
from cpp_pipeline.summary import Line, Log, Summary, Watcher

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""The watcher says what happens; tracebacks stay in the event log, where the UI shows them."""


@dataclass(frozen=True)
class Wave:
    """Assets that one Dagster run makes: for one dump, or joined."""

    partition: str | None
    assets: tuple[str, ...]


def plan(
    store: Store,
    specs: Mapping[str, dg.AssetSpec],
    selected: Iterable[str],
    together: Mapping[str, Iterable[str]],
    checks: Mapping[str, Iterable[str]],
) -> list[Wave]:
    """Decide which assets may have to be made, and in which runs.

    An asset is planned when it or one of those made `together` with it is not current or did not pass its
    checks, or when something before it is planned; whether that changes anything is found out when its turn comes.
    """
    wanted = set(selected)
    keys = [d.name for d in dumps(store)]
    levels: dict[str, int] = {}
    stale: dict[tuple[str, str | None], bool] = {}
    for name, spec in specs.items():  # in topological order
        parents = [p for p in recipe_of(spec).inputs if p in specs]
        partitioned = _partitioned(spec)
        levels[name] = max(
            (levels[p] + (_partitioned(specs[p]) != partitioned) for p in parents),
            default=0 if not partitioned else 1,
        )
        for key in keys if partitioned else [None]:
            before = any(
                stale.get((p, k), False)
                for p in parents
                for k in ([key] if partitioned and _partitioned(specs[p]) else [*keys, None])
            )
            stale[name, key] = name in wanted and (
                before
                or not all(
                    is_current(store, recipe_of(specs[n]), key) and store.is_checked(n, key, checks[n])
                    for n in together[name]
                )
            )
    waves = []
    for level in range(max(levels.values(), default=-1) + 1):
        for key in [None, *keys]:
            names = tuple(n for n in specs if levels[n] == level and stale.get((n, key)))
            if names:
                waves.append(Wave(key, names))
    return waves


def _partitioned(spec: dg.AssetSpec) -> bool:
    return spec.partitions_def is not None


def ordered_specs(definitions: dg.Definitions) -> dict[str, dg.AssetSpec]:
    """Every asset's spec, parents first."""
    graph = definitions.resolve_asset_graph()
    found = {spec.key: spec for spec in definitions.resolve_all_asset_specs()}
    return {key.path[-1]: found[key] for key in graph.toposorted_asset_keys if key in found}


def run(
    definitions: dg.Definitions,
    store: Store,
    instance: dg.DagsterInstance,
    log: Log,
    selection: str | None = None,
) -> Summary:
    """Bring the selected assets up to date.

    A dump that fails is named and left out; joined tables go on with the others. A joined asset
    that fails takes what depends on it with it.

    Raises
    ------
    RuntimeError
        Another run is writing to the same root.
    """
    started = time.monotonic()
    specs = ordered_specs(definitions)
    selected = set(specs)
    if selection:
        selected = select(definitions, selection)
    summary = Summary({name: Line(name) for name in specs if name in selected}, [])
    with alone(store, log):
        store.sweep()
        instance.add_dynamic_partitions(repo_dumps.name or "", [d.name for d in dumps(store)])
        checks = checks_of(definitions, specs)
        together = {name: made_together(definitions, [name]) for name in specs}
        with remembered_reads():
            waves = plan(store, specs, selected, together, checks)
        total = sum(len(w.assets) for w in waves)
        log(f"{total} of {_size(store, specs, selected)} assets and partitions may have changed")
        job = definitions.resolve_implicit_global_asset_job_def()
        done, lost = 0, set[str]()
        for wave in waves:
            names = [n for n in wave.assets if n not in lost]
            if names:
                watcher = Watcher(summary, wave.partition, log, done, total, str(store.root))
                failed = _materialize(job, instance, wave.partition, names, watcher)
                lost |= _lost(specs, failed, watcher)
            done += len(wave.assets)
        for name in sorted(lost):
            if summary.lines.get(name) and summary.lines[name].status == "current":
                summary.lines[name].status = "not made"
    with remembered_reads():
        for name, line in summary.lines.items():
            line.rows = _stored_rows(store, specs[name])
    summary.seconds = time.monotonic() - started
    return summary


def _materialize(
    job: dg.JobDefinition, instance: dg.DagsterInstance, partition: str | None, names: Sequence[str], watcher: Watcher
) -> set[str]:
    """Run one wave; returns the assets that failed or were skipped because of one."""
    run_id = str(uuid.uuid4())
    instance.add_event_listener(run_id, watcher.take)
    result = job.execute_in_process(
        asset_selection=[dg.AssetKey(n) for n in names],
        partition_key=partition,
        instance=instance,
        run_id=run_id,
        run_config=QUIET,
        tags=SKIP,
        raise_on_error=False,
    )
    if watcher.interrupted:
        raise KeyboardInterrupt
    lines = watcher.summary.lines
    made = {key.path[-1] for e in result.get_asset_materialization_events() if (key := e.asset_key) is not None}
    for name in names:
        if name not in made and lines[name].status != "failed":
            lines[name].status = "failed" if name in watcher.failed else "not made"
    return set(names) - made | watcher.blocked & set(names)


def _lost(specs: Mapping[str, dg.AssetSpec], failed: set[str], watcher: Watcher) -> set[str]:
    """What later waves cannot make after this one.

    A dump that could not be read is missing in the joined tables; one whose table did not pass its checks lies
    there, so that nothing joined may be made from that table.
    """
    if watcher.partition is None:
        return _after(specs, failed)
    return {name for name in _after(specs, watcher.blocked) if not _partitioned(specs[name])}


def _after(specs: Mapping[str, dg.AssetSpec], failed: set[str]) -> set[str]:
    """Failed assets and everything downstream of them."""
    lost = set(failed)
    for name, spec in specs.items():
        if any(dep.asset_key.path[-1] in lost for dep in spec.deps):
            lost.add(name)
    return lost


def _size(store: Store, specs: Mapping[str, dg.AssetSpec], selected: set[str]) -> int:
    keys = len(dumps(store))
    return sum(keys if _partitioned(s) else 1 for n, s in specs.items() if n in selected)


def _stored_rows(store: Store, spec: dg.AssetSpec) -> int | None:
    name = spec.key.path[-1]
    keys: list[str | None] = list(store.partitions(name)) if _partitioned(spec) else [None]
    found = [p.rows for k in keys if (p := store.provenance(name, k)) is not None]
    return sum(r for r in found if r is not None) if any(r is not None for r in found) else None

"""Materialize what is not current, in as few Dagster runs as the graph allows.

This is the shell behind `cpp-pipeline run`: it plans with footers (`storage.currency`), runs the
stale part dump by dump and then the joined part in the user's Dagster instance, and tells how it
went. `dagster dev` with the same instance shows the same runs.
"""

from __future__ import annotations

import fcntl
import os
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg

from cpp_pipeline.storage.assets import SKIP_TAG, repo_dumps
from cpp_pipeline.storage.currency import is_current
from cpp_pipeline.storage.dumps import dumps
from cpp_pipeline.storage.recipes import recipe_of
from cpp_pipeline.storage.store import Store

Log = Callable[[str], None]


@dataclass(frozen=True)
class Wave:
    """Assets that one Dagster run makes: for one dump, or joined."""

    partition: str | None
    assets: tuple[str, ...]


@dataclass
class Line:
    """One asset in the closing table."""

    asset: str
    status: str = "current"
    rows: int | None = None
    seconds: float = 0.0
    checks_passed: int = 0
    checks_failed: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass
class Summary:
    """What a run did: a line an asset, failures in words, and whether all blocking checks passed."""

    lines: dict[str, Line]
    failures: list[str]
    seconds: float = 0.0

    @property
    def success(self) -> bool:
        """True when nothing failed and no blocking check failed."""
        return not self.failures and not any(line.checks_failed for line in self.lines.values())


def plan(store: Store, specs: Mapping[str, dg.AssetSpec], selected: Iterable[str]) -> list[Wave]:
    """Decide which assets may have to be made, and in which runs.

    An asset is planned when it is not current, or when something before it is planned; whether
    the latter changes anything is found out when its turn comes.
    """
    wanted = set(selected)
    keys = [d.name for d in dumps(store)]
    levels: dict[str, int] = {}
    stale: dict[tuple[str, str | None], bool] = {}
    for name, spec in specs.items():  # in topological order
        recipe = recipe_of(spec)
        parents = [p for p in recipe.inputs if p in specs]
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
            stale[name, key] = name in wanted and (before or not is_current(store, recipe, key))
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
        resolved = dg.AssetSelection.from_string(selection).resolve(definitions.resolve_asset_graph())
        selected = {key.path[-1] for key in resolved}
    summary = Summary({name: Line(name) for name in specs if name in selected}, [])
    with alone(store):
        store.sweep()
        instance.add_dynamic_partitions(repo_dumps.name or "", [d.name for d in dumps(store)])
        waves = plan(store, specs, selected)
        total = sum(len(w.assets) for w in waves)
        log(f"{total} of {_size(store, specs, selected)} assets and partitions may have changed")
        job = definitions.resolve_implicit_global_asset_job_def()
        done, lost = 0, set[str]()
        for wave in waves:
            names = [n for n in wave.assets if n not in lost]
            if names:
                failed = _materialize(job, instance, wave.partition, names, summary, log, (done, total))
                lost |= _after(specs, failed) if wave.partition is None else set()
            done += len(wave.assets)
        for name in sorted(lost):
            if summary.lines.get(name) and summary.lines[name].status == "current":
                summary.lines[name].status = "not made"
    for name, line in summary.lines.items():
        line.rows = _stored_rows(store, specs[name])
    summary.seconds = time.monotonic() - started
    return summary


def _materialize(
    job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    partition: str | None,
    names: Sequence[str],
    summary: Summary,
    log: Log,
    progress: tuple[int, int],
) -> set[str]:
    """Run one wave; returns the assets that failed or were skipped because of one."""
    watcher = _Watcher(summary, partition, log, *progress)
    run_id = str(uuid.uuid4())
    instance.add_event_listener(run_id, watcher.take)
    result = job.execute_in_process(
        asset_selection=[dg.AssetKey(n) for n in names],
        partition_key=partition,
        instance=instance,
        run_id=run_id,
        tags={SKIP_TAG: "1"},
        raise_on_error=False,
    )
    made = {key.path[-1] for e in result.get_asset_materialization_events() if (key := e.asset_key) is not None}
    for name in names:
        if name not in made and name in summary.lines:
            summary.lines[name].status = "failed" if name in watcher.failed else "not made"
    return set(names) - made | {n for n in names if summary.lines[n].checks_failed}


class _Watcher:
    """Turns the event log of a run into lines for the terminal and numbers for the summary."""

    def __init__(self, summary: Summary, partition: str | None, log: Log, done: int, total: int) -> None:
        self.summary, self.partition, self.log = summary, partition, log
        self.done, self.total = done, total
        self.failed: set[str] = set()
        self._starts: dict[str, float] = {}

    def take(self, entry: dg.EventLogEntry) -> None:
        """Called by the instance with each event as it is stored."""
        if not entry.is_dagster_event:
            return
        event, at = entry.get_dagster_event(), entry.timestamp
        step = event.step_key or ""
        kind = event.event_type_value
        where = f" [{self.partition}]" if self.partition else ""
        if kind == "STEP_START":
            self._starts[step] = at
            if step in self.summary.lines:
                self.log(f"{self.done:3d}/{self.total} {step}{where} ...")
        elif kind == "ASSET_MATERIALIZATION":
            self._made(event, at)
        elif kind == "ASSET_CHECK_EVALUATION":
            self._checked(event.asset_check_evaluation_data)
        elif kind == "STEP_FAILURE":
            self._broke(step, event, where)

    def _made(self, event: dg.DagsterEvent, at: float) -> None:
        line = self.summary.lines.get(event.asset_key.path[-1]) if event.asset_key else None
        if line is None:
            return
        self.done += 1
        data = event.step_materialization_data.materialization
        kept = "cpp_pipeline/kept" in data.metadata
        if not kept:
            line.status = "made"
            line.seconds += at - self._starts.get(event.step_key or "", at)
            # A step with several tables counts once.
            self._starts[event.step_key or ""] = at
        elif line.status != "made":
            line.status = "kept"

    def _checked(self, evaluation: dg.AssetCheckEvaluation) -> None:
        line = self.summary.lines.get(evaluation.asset_key.path[-1])
        if line is None:
            return
        name = f"{evaluation.asset_key.path[-1]}:{evaluation.check_name}"
        if evaluation.passed:
            line.checks_passed += 1
        elif evaluation.severity == dg.AssetCheckSeverity.WARN:
            line.warnings.append(name)
        else:
            line.checks_failed.append(name)
            shown = {k: getattr(v, "value", v) for k, v in evaluation.metadata.items()}
            self.log(f"CHECK FAILED {name} {shown}")

    def _broke(self, step: str, event: dg.DagsterEvent, where: str) -> None:
        error = event.step_failure_data.error
        while error is not None and error.cause is not None:
            error = error.cause
        words = (error.message if error else "no message").strip()
        if "blocking" in words.lower() and step not in self.summary.lines:
            return
        self.failed.add(step)
        self.summary.failures.append(f"{step}{where}: {words}")
        self.log(f"FAILED {step}{where}: {words}")


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


@contextmanager
def alone(store: Store) -> Iterator[None]:
    """Hold the root's lock: two runs would resume the same work folders."""
    if not store.is_local:
        yield
        return
    root = Path(str(store.root))
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RuntimeError(f"another run is working on {root} (pid in {root}/.pid); wait for it") from None
        (root / ".pid").write_text(str(os.getpid()))
        yield

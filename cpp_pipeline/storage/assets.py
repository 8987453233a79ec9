"""The two kinds of asset of this project, with what all of them share.

`table_asset`: a function that returns frames; they are held to `schemas/`, spooled to disk,
hashed and handed to the IO manager. `folder_asset`: a function that runs a command which leaves
a finished work folder; it is published as a checkpoint, token shards or a report.

Belongs here: policies (owners, code versions, skipping, metadata). No asset is defined here.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from cpp_pipeline.launch.steps import not_tried_again, step_options
from cpp_pipeline.schemas import TABLES
from cpp_pipeline.storage.automation import SKIP_TAG, condition, freshness
from cpp_pipeline.storage.code_version import code_version
from cpp_pipeline.storage.currency import digest, inputs_digest, is_current, stamp
from cpp_pipeline.storage.io_manager import DATA_VERSION, INPUTS, KEPT, REPLACES, ROWS
from cpp_pipeline.storage.lock import among_others
from cpp_pipeline.storage.metadata import column_schema, table_facts
from cpp_pipeline.storage.parquet import content_version
from cpp_pipeline.storage.recipes import CONFIG, recipe_of
from cpp_pipeline.storage.scratch import spooled
from cpp_pipeline.storage.store import Store

OWNERS = {
    "ingest": "team:data",
    "curate": "team:data",
    "pairs": "team:data",
    "problems": "team:evaluation",
    "corpus": "team:data",
    "models": "team:training",
    "rollouts": "team:training",
    "sandbox": "team:sandbox",
    "agent": "team:agent",
    "evals": "team:evaluation",
}
_TIMED = ("result.json", "timing.jsonl", "rollout_timing.jsonl")

repo_dumps = dg.DynamicPartitionsDefinition(name="repo_dumps")
"""One partition a repository dump."""


class StoreResource(dg.ConfigurableResource[None]):
    """The storage root, for assets that read or publish folders."""

    root: str

    @property
    def store(self) -> Store:
        """The store itself."""
        return Store(self.root)


def table_asset(
    *names: str,
    group: str,
    kinds: set[str],
    code: Sequence[str],
    config: Mapping[str, Any] | None = None,
    deps: Sequence[str] = (),
    description: str = "",
    plots: Mapping[str, str] | None = None,
    resources: frozenset[str] = frozenset(),
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Define an asset for one table, or one function that makes several tables together.

    Parameters
    ----------
    names
        Tables of `schemas.TABLES`; the first names the op. The function returns one LazyFrame,
        or a tuple of them in this order.
    code
        Rooms or modules under `cpp_pipeline/` whose source decides the result.
    config
        Values that decide the result (preset numbers, seed).
    plots
        Table -> column that is drawn in the metadata; of a quarantine table the reasons are.
    """
    drawn = {name: "reason" if name.endswith("_quarantine") else None for name in names} | dict(plots or {})

    def wrap(function: Callable[..., Any]) -> dg.AssetsDefinition:
        partitioned = TABLES[names[0]].partitioned
        step = step_options(names[0], resources=resources)
        outs = {
            name: dg.AssetOut(
                key=name,
                description=f"{TABLES[name].description} {description if name == names[0] else ''}".strip(),
                group_name=group,
                kinds=kinds | {"parquet"},
                owners=[OWNERS[group]],
                code_version=code_version(code, function, TABLES[name].digest),
                automation_condition=condition(name, group),
                freshness_policy=freshness(name, group),
                dagster_type=dg.Any,
                metadata={
                    CONFIG: digest(config or {}),
                    "config": dict(config or {}),
                    "dagster/column_schema": column_schema(TABLES[name]),
                    "cpp_pipeline/plot": drawn[name],
                },
            )
            for name in names
        }

        @dg.multi_asset(
            name=names[0],
            outs=outs,
            deps=list(deps),
            partitions_def=repo_dumps if partitioned else None,
            required_resource_keys={"storage", *resources},
            retry_policy=step.retry_policy,
            op_tags=step.op_tags,
        )
        @_signature_of(function)
        def compute(context: dg.AssetExecutionContext, **inputs: Any) -> Iterator[dg.Output[pl.LazyFrame]]:
            store: Store = context.resources.storage.store
            with not_tried_again(step), among_others(store, context.log.warning):
                kept = _kept(context, drawn)
                if kept is not None:
                    context.log.info(f"{names[0]} is current; kept")
                    yield from kept
                    return
                before = _before(context, names)
                made = function(context, **inputs)
                frames = made if isinstance(made, tuple) else (made,)
                for name, frame in zip(names, frames, strict=True):
                    yield _described(context, name, frame, before[name], drawn[name])
                store.end_work(names[0])

        return compute

    return wrap


def folder_asset(
    name: str,
    *,
    kind: str,
    group: str,
    kinds: set[str],
    deps: Sequence[str],
    code: Sequence[str],
    description: str,
    config: Mapping[str, Any] | None = None,
    resources: frozenset[str] = frozenset(),
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Define a checkpoint, token shards or a report.

    The function gets the context and a work folder, which is the same one as long as the inputs
    are the same, so that a killed run goes on where it was. It leaves `result.json` there, with
    `weights_sha256` or `data_sha256`, and may return metadata for the UI.
    """

    def wrap(function: Callable[..., Any]) -> dg.AssetsDefinition:
        step = step_options(name, resources=resources)

        @dg.asset(
            name=name,
            deps=list(deps),
            group_name=group,
            kinds=kinds,
            owners=[OWNERS[group]],
            description=description,
            code_version=code_version(code, function),
            freshness_policy=freshness(name, group),
            metadata={CONFIG: digest(config or {}), "config": dict(config or {})},
            required_resource_keys={"storage", *resources},
            retry_policy=step.retry_policy,
            op_tags=step.op_tags,
        )
        @_signature_of(function, drop=1)
        def compute(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
            store: Store = context.resources.storage.store
            with not_tried_again(step), among_others(store, context.log.warning):
                return make(context, store)

        def make(context: dg.AssetExecutionContext, store: Store) -> dg.MaterializeResult[Any]:
            recipe = recipe_of(context.assets_def.get_asset_spec())
            if _skips(context) and is_current(store, recipe, None):
                context.log.info(f"{name} is current; kept")
                found = store.provenance(name)
                assert found is not None
                return dg.MaterializeResult(data_version=dg.DataVersion(found.data_version), metadata={KEPT: True})
            inputs, replaces = inputs_digest(store, recipe, None), store.folder_token(kind, name)
            work = store.work(name, digest([inputs, recipe.code_version, recipe.config_digest]))
            metadata: Mapping[str, Any] = function(context, work) or {}
            manifest = _manifest(work, name)
            version = str(manifest.get("weights_sha256") or manifest["data_sha256"])[:32]
            target = store.publish(kind, work, stamp(recipe, None, inputs, version, None), replaces)
            store.end_work(name)
            return dg.MaterializeResult(
                data_version=dg.DataVersion(version),
                metadata={"path": dg.MetadataValue.path(str(target)), **_numbers(manifest), **metadata},
            )

        return compute

    return wrap


def work_folder(context: dg.AssetExecutionContext) -> Path:
    """The folder in which a table's command works; the same one as long as its inputs are the same."""
    store: Store = context.resources.storage.store
    recipe = recipe_of(context.assets_def.get_asset_spec())
    identity = digest([inputs_digest(store, recipe, None), recipe.code_version, recipe.config_digest])
    return store.work(recipe.asset, identity)


def write_result(work: Path, stage: str, facts: Mapping[str, Any]) -> None:
    """Commit a folder that this process filled: hash its files, then write `result.json`.

    Files in which a command tells how long it took are left out of the hash: they differ between equal runs.
    """
    hashed = hashlib.sha256()
    for path in sorted(p for p in work.rglob("*") if p.is_file() and p.name not in _TIMED):
        if "shards" not in path.relative_to(work).parts[:-1]:
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
            hashed.update(f"{path.relative_to(work).as_posix()}\0{content}\n".encode())
    partial = work / ".result.json.tmp"
    partial.write_text(
        json.dumps({"stage": stage, "data_sha256": hashed.hexdigest(), "metrics": dict(facts)}, indent=1)
    )
    os.replace(partial, work / "result.json")


def _signature_of(function: Callable[..., Any], drop: int = 0) -> Callable[..., Any]:
    """Show Dagster the parameters of `function` (they name the inputs) without its last `drop`."""

    def apply(wrapper: Callable[..., Any]) -> Callable[..., Any]:
        functools.update_wrapper(wrapper, function, assigned=("__name__", "__doc__", "__module__"))
        del wrapper.__wrapped__  # type: ignore[attr-defined]
        parameters = list(inspect.signature(function).parameters.values())
        parameters = parameters[: len(parameters) - drop] if drop else parameters
        wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        wrapper.__annotations__ = {p.name: p.annotation for p in parameters}
        return wrapper

    return apply


def _skips(context: dg.AssetExecutionContext) -> bool:
    return context.run.tags.get(SKIP_TAG) == "1"


def _kept(context: dg.AssetExecutionContext, plots: Mapping[str, str | None]) -> list[dg.Output[pl.LazyFrame]] | None:
    """The stored frames, when the run may skip and every table is current; else None. `plots` names all tables."""
    if not _skips(context):
        return None
    store: Store = context.resources.storage.store
    partition = context.partition_key if context.has_partition_key else None
    specs = {spec.key.path[-1]: spec for spec in context.assets_def.specs}
    if not all(is_current(store, recipe_of(specs[name]), partition) for name in plots):
        return None
    outputs = []
    for name, plot in plots.items():
        found = store.provenance(name, partition)
        assert found is not None
        frame = store.scan(name, [partition] if partition else None)
        metadata = {KEPT: True, **table_facts(TABLES[name], frame, found.rows or 0, partition, plot)}
        outputs.append(dg.Output(frame, name, metadata, dg.DataVersion(found.data_version)))
    return outputs


def _before(context: dg.AssetExecutionContext, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Of each table the digest of its inputs and what lies in its place, taken before the work begins."""
    store: Store = context.resources.storage.store
    partition = context.partition_key if context.has_partition_key else None
    specs = {spec.key.path[-1]: spec for spec in context.assets_def.specs}
    return {
        name: {
            INPUTS: inputs_digest(store, recipe_of(specs[name]), partition),
            REPLACES: store.table_token(name, partition),
        }
        for name in names
    }


def _described(
    context: dg.AssetExecutionContext, name: str, frame: pl.LazyFrame, before: Mapping[str, str], plot: str | None
) -> dg.Output[pl.LazyFrame]:
    """Hold a frame to its schema, write it to scratch once, and describe it.

    The function's work happens here, once: what follows reads the spooled file.
    """
    spool, path = spooled(TABLES[name].conform(frame))
    rows = int(spool.select(pl.len()).collect().item())
    version = content_version(path)
    partition = context.partition_key if context.has_partition_key else None
    facts = table_facts(TABLES[name], spool, rows, partition, plot)
    metadata = {**facts, DATA_VERSION: version, ROWS: rows, **before}  # the UI keeps the order: for people first
    return dg.Output(spool, name, metadata, dg.DataVersion(version))


def _manifest(work: Path, name: str) -> dict[str, Any]:
    path = work / "result.json"
    if not path.exists():
        raise dg.Failure(f"{name}: the command ended without a result.json in {work}; nothing was published")
    return dict(json.loads(path.read_text()))


def _numbers(manifest: Mapping[str, Any]) -> dict[str, Any]:
    flat = {**manifest, **manifest.get("metrics", {})}
    return {k: v for k, v in flat.items() if isinstance(v, int | float | str) and not isinstance(v, bool)}

"""Tables as assets, and what they share with folders (`folder_assets`).

`table_asset`: a function that returns frames; they are held to `schemas/`, spooled to disk,
hashed and handed to the IO manager.

Belongs here: policies (owners, code versions, skipping, metadata). No asset is defined here.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from cpp_pipeline.launch.steps import not_tried_again, step_options
from cpp_pipeline.schemas import TABLES
from cpp_pipeline.storage.automation import SKIP_TAG, condition, freshness
from cpp_pipeline.storage.code_version import code_version
from cpp_pipeline.storage.currency import Recipe, digest, inputs_digest, is_current
from cpp_pipeline.storage.io_manager import DATA_VERSION, INPUTS, KEPT, REPLACES, ROWS
from cpp_pipeline.storage.lock import among_others
from cpp_pipeline.storage.metadata import column_schema, table_facts
from cpp_pipeline.storage.parquet import content_version
from cpp_pipeline.storage.recipes import CONFIG, recipe_of
from cpp_pipeline.storage.scratch import Spooled, spooled
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
_ASIDE = "_quarantine"

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
    drawn = {name: "reason" if name.endswith(_ASIDE) else None for name in names} | dict(plots or {})

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
        @signature_of(function)
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
                frames = dict(zip(names, made if isinstance(made, tuple) else (made,), strict=True))
                for name, spool, refused in _in_turn(frames):
                    yield _described(context, name, spool, refused, before[name], drawn[name])
                recipe = recipe_of({spec.key.path[-1]: spec for spec in context.assets_def.specs}[names[0]])
                store.end_work(names[0], identity_of(recipe, before[names[0]][INPUTS]))

        return compute

    return wrap


def work_folder(context: dg.AssetExecutionContext) -> Path:
    """The folder in which a table's command works; the same one as long as its inputs are the same."""
    store: Store = context.resources.storage.store
    recipe = recipe_of(context.assets_def.get_asset_spec())
    return store.work(recipe.asset, identity_of(recipe, inputs_digest(store, recipe, None)))


def identity_of(recipe: Recipe, inputs: str) -> str:
    """What a result is made from, in one word."""
    return digest([inputs, recipe.code_version, recipe.config_digest])


def signature_of(function: Callable[..., Any], drop: int = 0) -> Callable[..., Any]:
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


def skips(context: dg.AssetExecutionContext) -> bool:
    """Whether the run keeps what is current."""
    return context.run.tags.get(SKIP_TAG) == "1"


def _kept(context: dg.AssetExecutionContext, plots: Mapping[str, str | None]) -> list[dg.Output[pl.LazyFrame]] | None:
    """The stored frames, when the run may skip and every table is current; else None. `plots` names all tables."""
    if not skips(context):
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
        chosen = [partition] if partition else None
        frame, aside = store.scan(name, chosen), f"{name}{_ASIDE}"
        refused = store.scan(aside, chosen) if aside in plots else None
        metadata = {KEPT: True, **table_facts(TABLES[name], frame, found.rows or 0, partition, plot, refused)}
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


def _in_turn(frames: Mapping[str, pl.LazyFrame]) -> Iterator[tuple[str, Spooled, pl.LazyFrame | None]]:
    """Each table with what was kept out of it, both held to their schema and written to scratch, one after the other.

    The function's work happens here, once: what follows reads the spooled file.
    """
    done: dict[str, Spooled] = {}
    for name in frames:
        aside = f"{name}{_ASIDE}"
        for each in (name, aside):
            if each in frames and each not in done:
                done[each] = spooled(TABLES[each].conform(frames[each]))
        yield name, done[name], done[aside][0] if aside in done else None


def _described(
    context: dg.AssetExecutionContext,
    name: str,
    spool: Spooled,
    refused: pl.LazyFrame | None,
    before: Mapping[str, str],
    plot: str | None,
) -> dg.Output[pl.LazyFrame]:
    """A table in scratch with what the UI shows of it."""
    frame, path = spool
    rows = int(frame.select(pl.len()).collect().item())
    version = content_version(path)
    partition = context.partition_key if context.has_partition_key else None
    facts = table_facts(TABLES[name], frame, rows, partition, plot, refused)
    metadata = {**facts, DATA_VERSION: version, ROWS: rows, **before}  # the UI keeps the order: for people first
    return dg.Output(frame, name, metadata, dg.DataVersion(version))

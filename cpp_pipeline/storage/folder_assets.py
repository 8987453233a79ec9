"""Checkpoints, token shards and reports as assets.

`folder_asset`: a function runs a command which leaves a finished work folder; it is published whole.

Belongs here: work folders, the manifest that ends them, and their metadata. Does not belong here: tables and what all
assets share (`assets`), what is shown of a folder (`previews`). No asset is defined here.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
from upath import UPath

from cpp_pipeline.launch.steps import not_tried_again, step_options
from cpp_pipeline.storage.assets import OWNERS, identity_of, signature_of, skips
from cpp_pipeline.storage.automation import freshness
from cpp_pipeline.storage.code_version import code_version
from cpp_pipeline.storage.currency import digest, inputs_digest, is_current, stamp
from cpp_pipeline.storage.downloads import release_copies
from cpp_pipeline.storage.io_manager import KEPT
from cpp_pipeline.storage.lock import among_others
from cpp_pipeline.storage.recipes import CONFIG, recipe_of
from cpp_pipeline.storage.store import Store

_VERSION_TAG = "dagster/data_version"
_TIMED = ("result.json", "timing.jsonl", "rollout_timing.jsonl")


def folder_asset(
    name: str,
    *,
    kind: str,
    group: str,
    kinds: set[str],
    deps: Sequence[str],
    code: Sequence[str],
    description: str,
    shown: Callable[[str, Path, Store], Mapping[str, Any]],
    config: Mapping[str, Any] | None = None,
    resources: frozenset[str] = frozenset(),
) -> Callable[[Callable[..., None]], dg.AssetsDefinition]:
    """Define a checkpoint, token shards or a report.

    The function gets the context and a work folder, which is the same one as long as the inputs
    are the same, so that a killed run goes on where it was. It leaves `result.json` there, with
    `weights_sha256` or `data_sha256`. What `shown` reads in the finished folder is metadata for the UI.
    """

    def wrap(function: Callable[..., None]) -> dg.AssetsDefinition:
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
        @signature_of(function, drop=1)
        def compute(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
            store: Store = context.resources.storage.store
            with not_tried_again(step), among_others(store, context.log.warning):
                return make(context, store)

        def make(context: dg.AssetExecutionContext, store: Store) -> dg.MaterializeResult[Any]:
            recipe = recipe_of(context.assets_def.get_asset_spec())
            if skips(context) and is_current(store, recipe, None):
                context.log.info(f"{name} is current; kept")
                found = store.provenance(name)
                assert found is not None
                facts = _shown_before(context, found.data_version)
                if facts is None:
                    facts = described(store.local_folder(kind, name), store)
                    release_copies()
                return result(found.data_version, store.folder(kind, name), {**facts, KEPT: True})
            inputs, replaces = inputs_digest(store, recipe, None), store.folder_token(kind, name)
            work = store.work(name, identity_of(recipe, inputs))
            function(context, work)
            manifest = _manifest(work, name)
            version = str(manifest.get("weights_sha256") or manifest["data_sha256"])[:32]
            facts = described(work, store)
            target = store.publish(kind, work, stamp(recipe, None, inputs, version, None), replaces)
            store.end_work(name, identity_of(recipe, inputs))
            return result(version, target, facts)

        def described(folder: Path, store: Store) -> dict[str, Any]:
            return {**_numbers(_manifest(folder, name)), **shown(name, folder, store)}

        def result(version: str, target: UPath, facts: Mapping[str, Any]) -> dg.MaterializeResult[Any]:
            metadata = {"path": dg.MetadataValue.path(str(target)), **facts}
            return dg.MaterializeResult(data_version=dg.DataVersion(version), metadata=metadata)

        return compute

    return wrap


def _shown_before(context: dg.AssetExecutionContext, data_version: str) -> dict[str, Any] | None:
    """What Dagster knows of this version, so that a kept folder need not be fetched from a bucket; None if nothing."""
    event = context.instance.get_latest_materialization_event(context.asset_key)
    found = event.asset_materialization if event is not None else None
    if found is None or "path" not in found.metadata or (found.tags or {}).get(_VERSION_TAG) != data_version:
        return None
    return dict(found.metadata)


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


def _manifest(work: Path, name: str) -> dict[str, Any]:
    path = work / "result.json"
    if not path.exists():
        raise dg.Failure(f"{name}: the command ended without a result.json in {work}; nothing was published")
    return dict(json.loads(path.read_text()))


def _numbers(manifest: Mapping[str, Any]) -> dict[str, Any]:
    flat = {**manifest, **manifest.get("metrics", {})}
    return {k: v for k, v in flat.items() if isinstance(v, int | float | str) and not isinstance(v, bool)}

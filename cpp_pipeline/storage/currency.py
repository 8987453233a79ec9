"""Is an asset up to date? The one rule that the command line, the schedule and the sensor use.

An asset is current when the code version, the config and the data versions of its inputs equal
those written with the data. Footers are the source of truth, not the Dagster instance, whose own
record loses partitioned inputs from 100 partitions on and does not travel with the bucket.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache

from cpp_pipeline.schemas import TABLES
from cpp_pipeline.settings import Settings
from cpp_pipeline.storage.dumps import dump, fingerprint, problem_sets
from cpp_pipeline.storage.store import Provenance, Store


@dataclass(frozen=True)
class Recipe:
    """What decides how an asset is made: its inputs, code version and config."""

    asset: str
    inputs: tuple[str, ...]
    code_version: str
    config_digest: str


def digest(value: object) -> str:
    """Hash of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:32]


def inputs_digest(store: Store, recipe: Recipe, partition: str | None) -> str:
    """Hash over the sorted (input, partition, data version) of everything the asset reads."""
    seen: list[tuple[str, str, str]] = [("", "", _outside(store, recipe.asset, partition))]
    for name in recipe.inputs:
        if name in TABLES and TABLES[name].partitioned:
            keys: list[str | None] = list(store.partitions(name)) if partition is None else [partition]
        else:
            keys = [None]
        for key in keys:
            found = store.provenance(name, key)
            seen.append((name, key or "", found.data_version if found else "missing"))
    return digest(sorted(seen))


def is_current(store: Store, recipe: Recipe, partition: str | None) -> bool:
    """True when nothing that the asset is made from has changed since it was written."""
    found = store.provenance(recipe.asset, partition)
    return (
        found is not None
        and found.code_version == recipe.code_version
        and found.config_digest == recipe.config_digest
        and found.inputs_digest == inputs_digest(store, recipe, partition)
    )


def stamp(recipe: Recipe, partition: str | None, inputs: str, data_version: str, rows: int | None) -> Provenance:
    """Provenance of an asset that was made from inputs with the given digest.

    The digest has to be taken before the asset is made: an input that changes meanwhile makes it stale.
    """
    return Provenance(
        recipe.asset,
        partition,
        recipe.code_version,
        recipe.config_digest,
        inputs,
        data_version,
        rows,
    )


def _outside(store: Store, asset: str, partition: str | None) -> str:
    """Version of what an asset depends on outside the graph: dump, problem sets, the judging machine."""
    if asset == "sandbox_canaries":
        return digest(judging_machine())
    if asset == "repo_dump" and partition is not None:
        return fingerprint(dump(store, partition).path)
    if asset.startswith("eval_problems"):
        return digest([(p.name, hashlib.sha256(p.read_bytes()).hexdigest()) for p in problem_sets(store)])
    return ""


@cache
def judging_machine() -> tuple[str, ...]:
    """What verdicts depend on beside our code: controller or host, kernel, compiler, isolation."""
    url = Settings.from_env().sandbox_url
    if url:
        return (url,)
    backend = Settings.from_env().sandbox_backend
    tools = (_first_line(name, "--version") for name in ("g++", "bwrap"))
    return (platform.node(), platform.release(), backend, *tools)


def _first_line(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return "none"
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30).stdout.partition("\n")[0]

"""The main job: dumps in, the whole graph up to date, in the root's own Dagster instance."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from cpp_pipeline.runner import run as run_graph
from cpp_pipeline.settings import Settings
from cpp_pipeline.storage.assets import repo_dumps
from cpp_pipeline.storage.dumps import add_dump, check_dump, dumps
from cpp_pipeline.storage.place import at
from cpp_pipeline.storage.store import Store
from cpp_pipeline.summary import Summary

INSTANCE_YAML = """\
nux:
  enabled: false
telemetry:
  enabled: false
concurrency:
  runs:
    max_concurrent_runs: 2  # of the UI, sensors and backfills; each uses several cores
"""


def dagster_home(root: str) -> Path:
    """The Dagster home that belongs to a root: `DAGSTER_HOME`, or `.dagster` inside a local root, made when missing.

    Raises
    ------
    ValueError
        `DAGSTER_HOME` names no folder.
    """
    at(root)  # a root that cannot be is told before a folder of its name is made
    given = Settings.from_env().dagster_home
    if given and not Path(given).is_dir():
        raise ValueError(f"DAGSTER_HOME={given}: no such folder; make it, or unset it to use the root's own")
    if given:
        return Path(given)
    local = Path(root) if "://" not in root else Path("data")
    home = (local / ".dagster").absolute()
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "dagster.yaml").exists():
        (home / "dagster.yaml").write_text(INSTANCE_YAML)
    return home


def environment(root: str) -> dict[str, str]:
    """Variables with which any Dagster command sees this root's runs and data."""
    return {"DAGSTER_HOME": str(dagster_home(root)), "CPP_PIPELINE_ROOT": _absolute(root)}


def _absolute(root: str) -> str:
    return root if "://" in root else str(Path(root).absolute())


@contextmanager
def dagster_instance(root: str) -> Iterator[dg.DagsterInstance]:
    """The instance in which runs of this root are recorded."""
    with dg.DagsterInstance.from_config(str(dagster_home(root))) as instance:
        yield instance


def default_dumps(root: str, log: Callable[[str], None]) -> list[tuple[str, Path]]:
    """The bundled dump, and real C++ from Debian source packages where a mirror is at hand."""
    from cpp_pipeline.dumps.bundled import build
    from cpp_pipeline.dumps.debian import fetch_debian

    base = Path(root if "://" not in root else "data") / "sources"
    found = [("bundled", build(base / "bundled"))]
    if Settings.from_env().real_cpp:
        debian = fetch_debian(base / "debian", log=log)
        if debian is None:
            log("no Debian source packages to be had here: running on the bundled dump alone")
        else:
            found.append(("debian", debian))
    return found


def wants_default_dumps(root: str) -> bool:
    """True for a root without dumps or with the bundled one: a root of the user's own dumps keeps to them."""
    known = [d.name for d in dumps(Store(root))]
    return not known or "bundled" in known


def main_job(
    root: str,
    preset: str,
    seed: int,
    sources: Sequence[tuple[str, Path | str]],
    selection: str | None,
    log: Callable[[str], None],
) -> Summary:
    """Register the sources and bring the graph up to date at a preset."""
    from cpp_pipeline.models.presets import preset as known_preset

    known_preset(preset)
    if Settings.from_env().dagster_home:  # refused while nothing is written
        dagster_home(root)
    store = Store(root)
    # all of them before one is registered: a mistyped path leaves nothing behind
    for name, path in sources:
        check_dump(store, path, name)
    registered = [add_dump(store, path, name).name for name, path in sources]
    with dagster_instance(root) as instance:
        # at once: a sensor starts what Dagster does not know
        instance.add_dynamic_partitions(repo_dumps.name or "", registered)
        # The definitions read their settings from the environment, as they do in every other process.
        os.environ.update(environment(root), CPP_PIPELINE_PRESET=preset, CPP_PIPELINE_SEED=str(seed))
        from cpp_pipeline.definitions import defs
        from cpp_pipeline.defs.resources import PRESET, SETTINGS

        if (PRESET.name, SETTINGS.seed, _absolute(SETTINGS.root)) != (preset, seed, _absolute(root)):
            raise RuntimeError("a process keeps the root, preset and seed of its first run; start another one")
        return run_graph(defs(), store, instance, log, selection)

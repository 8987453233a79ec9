"""A root, an instance and the frames of real assets, shared by the tests of the definitions.

The sizes of the assets are read when `cpp_pipeline.defs` is imported, so it is imported here, at the smallest preset.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

with pytest.MonkeyPatch.context() as _environment:
    _environment.setenv("CPP_PIPELINE_PRESET", "smoke")
    _environment.delenv("CPP_PIPELINE_SEED", raising=False)
    from cpp_pipeline.defs import curate, ingest, pairs, problems
    from cpp_pipeline.defs.resources import PRESET, SETTINGS

from cpp_pipeline.dumps.bundled import build
from cpp_pipeline.launch.choose import launcher
from cpp_pipeline.launch.sandbox import SandboxResource
from cpp_pipeline.storage.dumps import add_dump
from cpp_pipeline_tests.defs.support import Bench, frame

SIZES = replace(PRESET, train_problems=9, eval_problems=3, mined_candidates=3)
"""Of `problem_tables`."""

if (PRESET.name, SETTINGS.seed) != ("smoke", 0):
    raise RuntimeError(
        f"cpp_pipeline.defs was imported at preset {PRESET.name!r}, seed {SETTINGS.seed} before this folder was "
        "collected; let no other test module import it at its top, or set CPP_PIPELINE_PRESET=smoke"
    )


@pytest.fixture(scope="session")
def instance() -> Iterator[dg.DagsterInstance]:
    """An instance that knows the dumps `bundled`, `one` and `two`."""
    with dg.DagsterInstance.ephemeral() as found:
        found.add_dynamic_partitions("repo_dumps", ["bundled", "one", "two"])
        yield found


@pytest.fixture
def bench(tmp_path: Path, instance: dg.DagsterInstance) -> Bench:
    """An empty root without a sandbox."""
    return Bench(tmp_path / "root", instance)


@pytest.fixture(scope="session")
def judging(tmp_path_factory: pytest.TempPathFactory, instance: dg.DagsterInstance, sandbox_url: str) -> Bench:
    """A root with a real sandbox."""
    resources = {"sandbox": SandboxResource(url=sandbox_url), "launcher": launcher(SETTINGS)}
    return Bench(tmp_path_factory.mktemp("judging"), instance, resources)


@pytest.fixture(scope="session")
def bundled(tmp_path_factory: pytest.TempPathFactory, instance: dg.DagsterInstance) -> dict[str, pl.DataFrame]:
    """The tables that the assets of one dump make of the bundled dump, up to documented functions and repairs."""
    folder = tmp_path_factory.mktemp("bundled")
    bench = Bench(folder / "root", instance)
    add_dump(bench.store, build(folder / "dump"), "bundled")
    made = (ingest.repo_dump, ingest.source_files, ingest.commits, curate.clean_files)
    return bench.in_memory(*made, pairs.docstring_pairs, pairs.diff_sft, partition="bundled")


@pytest.fixture(scope="session")
def problem_tables(judging: Bench, bundled: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """The problem tables at small sizes, mined from the bundled dump and judged by the real sandbox."""
    given = {"docstring_pairs": bundled["docstring_pairs"], "duplicate_pairs": frame("duplicate_pairs")}
    with pytest.MonkeyPatch.context() as few:
        few.setattr(problems, "PRESET", SIZES)
        return judging.in_memory(problems.eval_problems, problems.train_problems, inputs=given)

"""What Dagster itself holds for up to date: an unchanged re-run leaves what comes after fresh, a change does not."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from cpp_pipeline.defs import curate, duplicates, ingest, pairs
from cpp_pipeline.storage.dumps import add_dump
from cpp_pipeline_tests.defs.support import Bench

CHAIN = [
    ingest.repo_dump,
    ingest.source_files,
    curate.clean_files,
    pairs.docstring_pairs,
    duplicates.function_signatures,
]
JOINED = [duplicates.near_duplicate_edges, duplicates.duplicate_pairs]
AREA = """// SPDX-License-Identifier: MIT

/// Returns the area of a rectangle: its width times its height.
int rectangle_area(int width, int height) {
    int area = width * height;
    return area;
}
"""
FRESH, STALE = StaleStatus.FRESH, StaleStatus.STALE


class Status:
    """Makes assets of a dump, and asks Dagster which of them are fresh."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        self.bench, self.file = bench, folder / "area.cpp"

    def make(self, *assets: dg.AssetsDefinition, partition: str | None = "one") -> None:
        """Materialize some of the assets, the others known by their stored tables."""
        rest = [a for a in (*CHAIN, *JOINED) if a not in assets]
        specs = [spec for asset in rest for spec in asset.specs]
        assert self.bench.run([*specs, *assets], partition=partition).success

    def of(self, name: str) -> StaleStatus:
        """Dagster's word on one table."""
        graph = dg.Definitions(assets=[*CHAIN, *JOINED], resources=self.bench.resources).resolve_asset_graph()
        resolver = CachingStaleStatusResolver(self.bench.instance, graph, LoadingContextForTest(self.bench.instance))
        key = dg.AssetKey(name)
        return resolver.get_status(key, "one" if graph.get(key).is_partitioned else None)

    def version(self, name: str) -> str:
        """The data version of a stored table."""
        found = self.bench.store.provenance(name, "one")
        assert found is not None
        return found.data_version


@pytest.fixture
def status(tmp_path: Path) -> Status:
    """A dump of one file, with everything made of it, in an instance of its own."""
    folder = tmp_path / "dump"
    folder.mkdir()
    (folder / "area.cpp").write_text(AREA)
    instance = dg.DagsterInstance.ephemeral()
    instance.add_dynamic_partitions("repo_dumps", ["one"])
    found = Status(Bench(tmp_path / "root", instance), folder)
    add_dump(found.bench.store, folder, "one")
    found.make(*CHAIN)
    found.make(*JOINED, partition=None)
    return found


def test_an_unchanged_rerun_leaves_everything_fresh(status: Status) -> None:
    names = ("source_files", "clean_files", "docstring_pairs", "function_signatures", "duplicate_pairs")
    assert [status.of(name) for name in names] == [FRESH] * 5
    before = [status.version(name) for name in names[:4]]
    status.make(ingest.repo_dump, ingest.source_files, curate.clean_files)
    assert [status.version(name) for name in names[:4]] == before
    assert [status.of(name) for name in names] == [FRESH] * 5


def test_a_change_makes_what_comes_after_stale_until_it_is_made_again(status: Status) -> None:
    status.file.write_text(AREA.replace("width times its height", "height times its width"))
    status.make(ingest.repo_dump, ingest.source_files)
    assert status.of("source_files") is FRESH
    assert status.of("clean_files") is STALE
    status.make(curate.clean_files)
    assert status.of("clean_files") is FRESH
    assert status.of("docstring_pairs") is STALE
    status.make(pairs.docstring_pairs)
    assert [status.of(name) for name in ("docstring_pairs", "function_signatures")] == [FRESH, STALE]


def test_a_change_that_is_dropped_on_the_way_goes_no_further(status: Status) -> None:
    """A file of another kind changes the listing and nothing made from it: the hashes are of rows."""
    (status.file.parent / "notes.txt").write_text("not code\n")
    before = status.version("repo_dump"), status.version("source_files")
    status.make(ingest.repo_dump)
    assert status.version("repo_dump") != before[0]
    assert status.of("source_files") is STALE
    status.make(ingest.source_files)
    assert status.version("source_files") == before[1]
    assert [status.of(n) for n in ("source_files", "clean_files", "docstring_pairs")] == [FRESH] * 3

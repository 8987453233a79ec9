"""A backfill over 50 dumps by a real daemon, as the UI launches it: around one that is gone and one that is cut off."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

from cpp_pipeline.storage.dumps import add_dump
from cpp_pipeline.storage.failures import failed_dumps
from cpp_pipeline_tests.daemon import Place, write_archive, write_dump

pytestmark = pytest.mark.slow

DUMPS = 50
BAD, CUT = "dump-07", "dump-11"
PATIENCE_SECONDS = 2400.0
TABLES = (
    "repo_dump",
    "source_files",
    "source_files_quarantine",
    "clean_files",
    "dropped_files",
    "docstring_pairs",
    "docstring_pairs_quarantine",
    "function_signatures",
)
JOINED = ("near_duplicate_edges", "compared_dumps", "duplicate_pairs")


def launch(place: Place, keys: Sequence[str]) -> BulkActionStatus:
    """Ask for a backfill and wait until the daemon is through with it; returns how it ended."""
    from cpp_pipeline.definitions import defs

    name = uuid.uuid4().hex[:8]
    with place.instance() as instance:
        asked = PartitionBackfill.from_asset_partitions(
            backfill_id=name,
            asset_graph=defs().resolve_asset_graph(),
            partition_names=keys,
            asset_selection=[dg.AssetKey(n) for n in (*TABLES, *JOINED)],
            backfill_timestamp=time.time(),
            tags={},
            dynamic_partitions_store=instance,
            all_partitions=False,
            title=None,
            description=None,
            run_config=None,
        )
        instance.add_backfill(asked)

    def status() -> BulkActionStatus:
        with place.instance() as instance:
            found = instance.get_backfill(name)
            assert found is not None
            return found.status

    ended = (BulkActionStatus.COMPLETED_SUCCESS, BulkActionStatus.COMPLETED_FAILED, BulkActionStatus.FAILED)
    place.wait(lambda: status() in ended, PATIENCE_SECONDS)
    return status()


def times(place: Place) -> dict[tuple[str, str | None], str]:
    keys = place.store.partitions("docstring_pairs")
    whats = [*((n, k) for n in TABLES for k in keys), *((n, None) for n in JOINED)]
    return {(n, k): place.store.table_token(n, k) for n, k in whats}


def test_a_backfill_over_fifty_dumps_finishes_around_a_bad_one_and_its_repair_touches_nothing_else(
    tmp_path: Path,
) -> None:
    from cpp_pipeline.defs.checks_dumps import dump_checks

    place = Place(tmp_path)
    keys = [f"dump-{number:02d}" for number in range(DUMPS)]
    dumps = tmp_path / "dumps"
    for number, key in enumerate(keys):
        made = write_archive(dumps / f"{key}.tar", number, number + 1) if key == CUT else None
        add_dump(place.store, made or write_dump(dumps / key, number, number + 1), key)
    bad, cut = dumps / BAD, dumps / f"{CUT}.tar"
    whole = cut.read_bytes()
    cut.write_bytes(whole[:2000])
    bad.rename(tmp_path / "elsewhere")
    with place.instance() as instance:
        instance.add_dynamic_partitions("repo_dumps", keys)
    with place.daemon(watching=False):
        began = time.monotonic()
        assert launch(place, keys) == BulkActionStatus.COMPLETED_FAILED
        print(f"backfill over {DUMPS} dumps: {time.monotonic() - began:.0f} s")
        assert place.store.partitions("docstring_pairs") == [key for key in keys if key != BAD]
        with place.instance() as instance:
            causes = failed_dumps(instance, dump_checks)
        assert causes.keys() == {BAD, CUT}
        assert "broken archive" in causes[CUT] and f"{CUT}.tar" in causes[CUT]
        assert f"{bad} does not exist" in causes[BAD] and f"`cpp-pipeline dumps remove {BAD}`" in causes[BAD]

        before = times(place)
        (tmp_path / "elsewhere").rename(bad)
        cut.write_bytes(whole)
        began = time.monotonic()
        assert launch(place, [BAD, CUT]) == BulkActionStatus.COMPLETED_SUCCESS
        print(f"backfill over the repaired ones: {time.monotonic() - began:.0f} s")
        with place.instance() as instance:
            assert failed_dumps(instance, dump_checks) == {}
    after = times(place)
    assert {key for _, key in after.keys() - before.keys()} == {BAD}
    changed = {what for what in before if before[what] != after[what] and what[1] != CUT}
    assert changed == {(name, None) for name in JOINED}
    assert place.store.scan("compared_dumps").collect().height == DUMPS
    assert place.store.scan("duplicate_pairs").collect().height == DUMPS - 1

"""Runs over dumps one by one and then over all, as a backfill makes them: a bad dump stops nothing but itself."""

import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import dagster as dg
import pytest

from cpp_pipeline.defs import automation, checks, curate, duplicates, ingest, pairs
from cpp_pipeline.schemas import TABLES
from cpp_pipeline.storage.automation import SKIP
from cpp_pipeline.storage.dumps import add_dump, remove_dump
from cpp_pipeline.storage.failures import failed_dumps
from cpp_pipeline.storage.io_manager import ParquetIOManager
from cpp_pipeline_tests.daemon import write_dump
from cpp_pipeline_tests.defs.support import Bench

ASSETS = (
    ingest.repo_dump,
    ingest.source_files,
    ingest.commits,
    curate.clean_files,
    pairs.docstring_pairs,
    pairs.diff_sft,
    duplicates.function_signatures,
    duplicates.near_duplicate_edges,
    duplicates.duplicate_pairs,
)
MADE = [key.path[-1] for asset in ASSETS for key in asset.keys]
OF_A_DUMP = [name for name in MADE if TABLES[name].partitioned]
JOINED = [name for name in MADE if not TABLES[name].partitioned]


class Backfill:
    """Real assets and checks on a root of its own, and dumps beside it."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.folder, self.instance = folder, instance
        self.bench = Bench(folder / "root", instance)
        self.store = self.bench.store
        root = str(self.store.root)
        every_check = [*checks.schema_checks, *checks.row_checks, automation.no_dump_failed]
        chosen = [c for c in every_check if {k.asset_key.path[-1] for k in c.check_keys} <= set(MADE)]
        resources = {**self.bench.resources, "io_manager": ParquetIOManager(root=root)}
        self.definitions = dg.Definitions(ASSETS, asset_checks=chosen, resources=resources)

    def dump(self, name: str, *numbers: int) -> Path:
        path = write_dump(self.folder / name, *numbers)
        add_dump(self.store, path, name)
        self.instance.add_dynamic_partitions("repo_dumps", [name])
        return path

    def run(self, *keys: str, tags: Mapping[str, str] | None = None) -> dict[str | None, dg.ExecuteInProcessResult]:
        """A run of each dump, then one of the joined tables; a backfill does not end at one that fails."""
        job = self.definitions.resolve_implicit_global_asset_job_def()
        waves = [*((key, OF_A_DUMP) for key in keys), (None, JOINED)]
        return {
            key: job.execute_in_process(
                asset_selection=[dg.AssetKey(n) for n in names],
                partition_key=key,
                instance=self.instance,
                tags=tags,
                raise_on_error=False,
            )
            for key, names in waves
        }

    def versions(self) -> dict[tuple[str, str | None], tuple[str, str]]:
        """Data version and token of every table file."""
        found = {}
        for name in MADE:
            for key in self.store.partitions(name) if TABLES[name].partitioned else [None]:
                provenance = self.store.provenance(name, key)
                assert provenance is not None
                found[name, key] = (provenance.data_version, self.store.table_token(name, key))
        return found

    def duplicates(self) -> int:
        """Functions that are left out for one of another dump."""
        return self.store.scan("duplicate_pairs").collect().height


@pytest.fixture
def backfill(tmp_path: Path) -> Iterator[Backfill]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Backfill(tmp_path, instance)


def failed(results: Mapping[str | None, dg.ExecuteInProcessResult]) -> list[str | None]:
    return [key for key, result in results.items() if not result.success]


def test_a_backfill_over_one_dump_makes_its_tables_and_the_joined_ones(backfill: Backfill) -> None:
    backfill.dump("only", 1, 2)
    assert failed(backfill.run("only")) == []
    assert {(n, "only" if n in OF_A_DUMP else None) for n in MADE} == backfill.versions().keys()
    assert backfill.store.scan("docstring_pairs").collect().height == 2
    assert backfill.duplicates() == 0


def test_of_three_dumps_a_bad_one_is_named_with_its_cause_and_after_repair_only_what_depends_on_it_changes(
    backfill: Backfill,
) -> None:
    backfill.dump("a", 1, 2)
    bad = backfill.dump("bad", 2, 3)
    backfill.dump("c", 3, 4)
    bad.rename(backfill.folder / "elsewhere")
    assert failed(backfill.run("a", "bad", "c")) == ["bad"]
    assert backfill.store.partitions("docstring_pairs") == ["a", "c"]
    assert backfill.duplicates() == 0
    cause = failed_dumps(backfill.instance)
    assert cause.keys() == {"bad"}
    assert f"repo_dump: FileNotFoundError: dump not found: {bad} does not exist" in cause["bad"]
    assert "put it back, or take the dump away: `cpp-pipeline dumps remove bad`" in cause["bad"]

    before = backfill.versions()
    (backfill.folder / "elsewhere").rename(bad)
    assert failed(backfill.run("bad")) == []
    after = backfill.versions()
    assert {key for (_, key) in after.keys() - before.keys()} == {"bad"}
    assert {what for what in before if before[what][1] != after[what][1]} == {(name, None) for name in JOINED}
    assert backfill.duplicates() == 2, "one function of each of the others"
    assert failed_dumps(backfill.instance) == {}


def test_of_a_truncated_archive_the_rest_is_kept_and_the_cause_is_a_row(backfill: Backfill, tmp_path: Path) -> None:
    whole = tmp_path / "whole.tar"
    with tarfile.open(whole, "w") as archive:
        archive.add(write_dump(tmp_path / "inside", *range(1, 9)), "inside")
    bad = tmp_path / "bad.tar"
    bad.write_bytes(whole.read_bytes()[:3000])
    add_dump(backfill.store, bad, "bad")
    backfill.instance.add_dynamic_partitions("repo_dumps", ["bad"])
    backfill.dump("good", 1)
    assert failed(backfill.run("bad", "good")) == []
    (row,) = backfill.store.scan("source_files_quarantine", ["bad"]).collect().to_dicts()
    assert row["reason"] == "broken archive"
    assert "bad.tar" in row["detail"] and "the rest is not read" in row["detail"]
    read = backfill.store.scan("source_files", ["bad"]).collect().height
    before = backfill.versions()
    bad.write_bytes(whole.read_bytes())
    assert failed(backfill.run("bad", "good", tags=SKIP)) == []
    after = backfill.versions()
    assert backfill.store.scan("source_files", ["bad"]).collect().height == 8 > read
    assert backfill.store.scan("source_files_quarantine", ["bad"]).collect().is_empty()
    assert {what for what in before if what[1] == "good" and before[what] != after[what]} == set()


def test_the_joined_tables_are_made_without_a_removed_dump(backfill: Backfill) -> None:
    backfill.dump("a", 1, 2)
    backfill.dump("b", 2, 3)
    backfill.run("a", "b")
    assert backfill.duplicates() == 1
    remove_dump(backfill.store, "b")
    backfill.instance.delete_dynamic_partition("repo_dumps", "b")
    assert failed(backfill.run(tags=SKIP)) == []
    assert backfill.duplicates() == 0
    assert {key for _, key in backfill.versions()} == {"a", None}


def test_a_failed_dump_is_told_by_the_check_of_the_joined_table_and_between_its_runs_by_a_sensor(
    backfill: Backfill,
) -> None:
    backfill.dump("a", 1)
    backfill.dump("bad", 2).rename(backfill.folder / "elsewhere")
    results = backfill.run("a", "bad")
    (told,) = [e for e in results[None].get_asset_check_evaluations() if e.check_name == "no_dump_failed"]
    assert not told.passed and told.severity == dg.AssetCheckSeverity.WARN
    assert "cpp-pipeline dumps remove bad" in str(told.metadata["failed"].value)
    assert results[None].success, "it warns"

    first = tick(backfill.instance, None)
    (event,) = first.asset_events
    assert isinstance(event, dg.AssetCheckEvaluation) and not event.passed
    assert tick(backfill.instance, first.cursor).asset_events == []
    (backfill.folder / "elsewhere").rename(backfill.folder / "bad")
    backfill.run("bad")
    (event,) = tick(backfill.instance, first.cursor).asset_events
    assert isinstance(event, dg.AssetCheckEvaluation) and event.passed


def tick(instance: dg.DagsterInstance, cursor: str | None) -> dg.SensorResult:
    context = dg.build_sensor_context(instance, cursor)
    found = automation.failed_dumps_reported(context)
    assert isinstance(found, dg.SensorResult)
    return found

"""Runs over dumps one by one and then over all, as a backfill makes them: a bad dump stops nothing but itself."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from cpp_pipeline.defs import automation, checks, checks_dumps, curate, duplicates, ingest, pairs
from cpp_pipeline.defs.checks_dumps import dump_checks
from cpp_pipeline.schemas import TABLES, Table
from cpp_pipeline.storage.automation import SKIP
from cpp_pipeline.storage.dumps import add_dump, remove_dump
from cpp_pipeline.storage.failures import failed_dumps
from cpp_pipeline.storage.io_manager import ParquetIOManager
from cpp_pipeline_tests.daemon import write_archive, write_dump
from cpp_pipeline_tests.defs.support import Bench, frame, row
from cpp_pipeline_tests.defs.test_definitions import check_definitions

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
DUPLICATES = tuple(asset for asset in ASSETS if asset not in (ingest.commits, pairs.diff_sft))
"""Without what stands beside functions."""
FEW = (ingest.repo_dump, ingest.source_files, ingest.commits, pairs.diff_sft)
"""Enough for what is told of a dump that failed."""
ON_FEW = pytest.mark.parametrize("backfill", [FEW], indirect=True, ids=["few assets"])


class Backfill:
    """Real assets and checks on a root of its own, and dumps beside it."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance, assets: Sequence[dg.AssetsDefinition]) -> None:
        self.folder, self.instance = folder, instance
        self.made = [key.path[-1] for asset in assets for key in asset.keys]
        self.of_a_dump = [name for name in self.made if TABLES[name].partitioned]
        self.joined = [name for name in self.made if not TABLES[name].partitioned]
        self.bench = Bench(folder / "root", instance)
        self.store = self.bench.store
        root = str(self.store.root)
        every_check = [*checks.schema_checks, *checks.row_checks, *checks_dumps.whole_checks, automation.no_dump_failed]
        chosen = [c for c in every_check if {k.asset_key.path[-1] for k in c.check_keys} <= set(self.made)]
        resources = {**self.bench.resources, "io_manager": ParquetIOManager(root=root)}
        self.definitions = dg.Definitions(assets, asset_checks=chosen, resources=resources)

    def dump(self, name: str, *numbers: int) -> Path:
        path = write_dump(self.folder / name, *numbers)
        add_dump(self.store, path, name)
        self.instance.add_dynamic_partitions("repo_dumps", [name])
        return path

    def run(self, *keys: str, tags: Mapping[str, str] | None = None) -> dict[str | None, dg.ExecuteInProcessResult]:
        """A run of each dump, then one of the joined tables; a backfill does not end at one that fails."""
        job = self.definitions.resolve_implicit_global_asset_job_def()
        waves = [*((key, self.of_a_dump) for key in keys), *([(None, self.joined)] if self.joined else [])]
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
        for name in self.made:
            for key in self.store.partitions(name) if TABLES[name].partitioned else [None]:
                provenance = self.store.provenance(name, key)
                assert provenance is not None
                found[name, key] = (provenance.data_version, self.store.table_token(name, key))
        return found

    def alarm(self) -> dict[str, str]:
        """Dumps that people have to look at, with the causes."""
        return failed_dumps(self.instance, dump_checks)

    def duplicates(self) -> int:
        """Functions that are left out for one of another dump."""
        return self.store.scan("duplicate_pairs").collect().height


@pytest.fixture
def backfill(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backfill]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Backfill(tmp_path, instance, getattr(request, "param", DUPLICATES))


def told(result: dg.ExecuteInProcessResult, table: str) -> Mapping[str, dg.MetadataValue[Any]]:
    """What a run tells of a table."""
    found = {e.asset_key: e.materialization.metadata for e in result.get_asset_materialization_events()}
    return found[dg.AssetKey(table)]


def evaluations(result: dg.ExecuteInProcessResult, check: str) -> list[dg.AssetCheckEvaluation]:
    return [e for e in result.get_asset_check_evaluations() if e.check_name == check]


def failed(results: Mapping[str | None, dg.ExecuteInProcessResult]) -> list[str | None]:
    return [key for key, result in results.items() if not result.success]


@pytest.mark.parametrize("backfill", [ASSETS], indirect=True, ids=["every asset"])
def test_a_backfill_over_one_dump_makes_its_tables_and_the_joined_ones(backfill: Backfill) -> None:
    backfill.dump("only", 1, 2)
    assert failed(backfill.run("only")) == []
    assert {(n, "only" if n in backfill.of_a_dump else None) for n in backfill.made} == backfill.versions().keys()
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
    cause = backfill.alarm()
    assert cause.keys() == {"bad"}
    assert f"repo_dump: FileNotFoundError: dump not found: {bad} does not exist" in cause["bad"]
    assert "put it back, or take the dump away: `cpp-pipeline dumps remove bad`" in cause["bad"]

    before = backfill.versions()
    (backfill.folder / "elsewhere").rename(bad)
    assert failed(backfill.run("bad")) == []
    after = backfill.versions()
    assert {key for (_, key) in after.keys() - before.keys()} == {"bad"}
    assert {what for what in before if before[what][1] != after[what][1]} == {(name, None) for name in backfill.joined}
    assert backfill.duplicates() == 2, "one function of each of the others"
    assert backfill.alarm() == {}


@pytest.mark.slow
@ON_FEW
def test_a_truncated_archive_is_read_in_part_told_and_after_repair_only_it_changes(
    backfill: Backfill, tmp_path: Path
) -> None:
    archive = write_archive(tmp_path / "cut.tar", *range(1, 9))
    whole = archive.read_bytes()
    archive.write_bytes(whole[:5000])
    backfill.dump("a", 1)
    add_dump(backfill.store, archive, "cut")
    backfill.instance.add_dynamic_partitions("repo_dumps", ["cut"])
    results = backfill.run("a", "cut")
    assert failed(results) == []
    (row,) = backfill.store.scan("source_files_quarantine", ["cut"]).collect().to_dicts()
    assert row["reason"] == "broken archive"
    assert "cut.tar" in row["detail"] and "the rest is not read" in row["detail"]
    assert told(results["cut"], "source_files")["quarantined"].value == {"broken archive": 1}
    assert told(results["a"], "source_files")["quarantined"].value == {}
    warned = {key for key, result in results.items() for e in evaluations(result, "read_to_the_end") if not e.passed}
    assert warned == {"cut"}
    assert backfill.alarm().keys() == {"cut"}
    cause = backfill.alarm()["cut"]
    assert "source_files_quarantine does not pass read_to_the_end" in cause
    assert "broken archive" in cause and "cut.tar" in cause and "the dump is used as far as it was read" in cause
    assert "launch data_stages" in cause and "dumps remove" not in cause

    read = backfill.store.scan("source_files", ["cut"]).collect().height
    before = backfill.versions()
    archive.write_bytes(whole)
    assert failed(backfill.run("cut")) == []
    after = backfill.versions()
    assert backfill.store.scan("source_files", ["cut"]).collect().height == 8 > read > 0
    assert backfill.store.scan("source_files_quarantine", ["cut"]).collect().is_empty()
    assert {key for (table, key) in after if before[table, key][1] != after[table, key][1]} == {"cut"}
    assert backfill.alarm() == {}


@ON_FEW
def test_a_blocking_check_that_failed_is_told_also_where_every_table_is_there(
    backfill: Backfill, monkeypatch: pytest.MonkeyPatch
) -> None:
    backfill.dump("a", 1)
    backfill.dump("bad", 2)
    real = pairs.redacted_repairs

    def worse(*arguments: Any) -> tuple[pl.LazyFrame, pl.LazyFrame]:
        return frame("diff_sft", row("diff_sft", before="x", after="x")).lazy(), real(*arguments)[1]

    assert failed(backfill.run("a")) == []
    with monkeypatch.context() as broken:
        broken.setattr(pairs, "redacted_repairs", worse)
        assert failed(backfill.run("bad")) == ["bad"]
    assert {(n, "bad") for n in backfill.of_a_dump} <= backfill.versions().keys(), "no table of it is missing"
    assert backfill.alarm().keys() == {"bad"}
    cause = backfill.alarm()["bad"]
    assert "diff_sft does not pass repair_changes_something" in cause and "offending_rows 1" in cause
    assert "nothing is joined from diff_sft of any dump before it passes" in cause
    assert "launch data_stages for it" in cause and "`cpp-pipeline dumps remove bad`" in cause
    first = tick(backfill.instance, None)
    assert [e.passed for e in first.asset_events if isinstance(e, dg.AssetCheckEvaluation)] == [False]
    assert failed(backfill.run("bad")) == []
    assert backfill.alarm() == {}
    (event,) = tick(backfill.instance, first.cursor).asset_events
    assert isinstance(event, dg.AssetCheckEvaluation) and event.passed


@ON_FEW
def test_a_check_that_breaks_is_told_and_goes_with_its_dump(
    backfill: Backfill, monkeypatch: pytest.MonkeyPatch
) -> None:
    backfill.dump("a", 1)
    backfill.dump("bad", 2)
    table = TABLES["source_files"]
    with monkeypatch.context() as broken:
        broken.setattr(type(table), "violations", _breaks_on("source_files", type(table).violations))
        assert failed(backfill.run("bad")) == ["bad"]
    assert "source_files does not pass fits_schema: the check itself broke" in backfill.alarm()["bad"]
    remove_dump(backfill.store, "bad")
    backfill.instance.delete_dynamic_partition("repo_dumps", "bad")
    assert backfill.alarm() == {}


def _breaks_on(name: str, violations: Callable[..., dict[str, int]]) -> Callable[..., dict[str, int]]:
    def breaking(table: Table, frame: pl.LazyFrame) -> dict[str, int]:
        if table.name == name:
            raise MemoryError("no room for keys")
        return violations(table, frame)

    return breaking


def test_the_alarm_knows_every_check_of_the_tables_of_a_dump() -> None:
    told = {(spec.asset_key.path[-1], spec.name) for spec in dump_checks}
    partitioned = {(of, name) for of, name in check_definitions() if of in TABLES and TABLES[of].partitioned}
    assert told == partitioned


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

"""The runner makes what is stale, leaves out what broke, and says so."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from cpp_pipeline import runner
from cpp_pipeline.schemas import TABLES
from cpp_pipeline.storage.assets import StoreResource, table_asset
from cpp_pipeline.storage.checks import asset_check
from cpp_pipeline.storage.currency import Recipe, stamp
from cpp_pipeline.storage.dumps import add_dump, dump
from cpp_pipeline.storage.folder_assets import folder_asset
from cpp_pipeline.storage.io_manager import ParquetIOManager
from cpp_pipeline.storage.store import Store

Meanwhile = Mapping[str, Callable[[], None]]


def definitions(root: str, meanwhile: Meanwhile) -> dg.Definitions:
    """A small graph of the real kinds: a partitioned table, a joined one, a folder, a check.

    What others do `meanwhile` to an asset happens while it is being made.
    """

    @table_asset("repo_dump", group="ingest", kinds={"polars"}, code=["models/presets.py"])
    def repo_dump(context: dg.AssetExecutionContext) -> pl.LazyFrame:
        path = Path(dump(context.resources.storage.store, context.partition_key).path)
        if (path / "broken").exists():
            raise ValueError(f"{path / 'broken'} cannot be read: take it away")
        rows = [
            {"dump": context.partition_key, "path": p.name, "size_bytes": 1, "sha256": p.read_text()}
            for p in sorted(path.iterdir())
        ]
        return TABLES["repo_dump"].frame(rows)

    @table_asset("cmake_packages", group="pairs", kinds={"polars"}, code=["models/presets.py"])
    def cmake_packages(context: dg.AssetExecutionContext, repo_dump: pl.LazyFrame) -> pl.LazyFrame:
        meanwhile.get("cmake_packages", lambda: None)()
        columns = [pl.col("path").alias("package"), pl.col("dump").alias("target"), pl.lit("o").alias("origin")]
        return repo_dump.select(*columns, pl.lit(None, pl.String).alias("licence"))

    @folder_asset(
        "base_checkpoint",
        kind="checkpoints",
        group="models",
        kinds={"torch"},
        deps=["cmake_packages"],
        code=["models/presets.py"],
        description="",
        shown=lambda *_: {},
    )
    def base_checkpoint(context: dg.AssetExecutionContext, work: Path) -> None:
        names = context.resources.storage.store.scan("cmake_packages").collect()["package"].to_list()
        meanwhile.get("base_checkpoint", lambda: None)()
        (work / "result.json").write_text(json.dumps({"weights_sha256": ",".join(names), "metrics": {}}))

    @asset_check(asset="cmake_packages", blocking=True)
    def no_bad_package(asset: pl.LazyFrame) -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed="bad" not in asset.collect()["package"].to_list())

    resources = {"storage": StoreResource(root=root), "io_manager": ParquetIOManager(root=root)}
    return dg.Definitions(
        assets=[repo_dump, cmake_packages, base_checkpoint], asset_checks=[no_bad_package], resources=resources
    )


class World:
    """A root, its instance, and dumps beside it."""

    def __init__(self, folder: Path, root: str, instance: dg.DagsterInstance) -> None:
        self.folder, self.root, self.instance = folder, root, instance
        self.store = Store(root)
        self.log: list[str] = []

    def dump(self, name: str, *files: str) -> None:
        path = self.folder / name
        path.mkdir(exist_ok=True)
        for file in files:
            (path / file).write_text(file)
        add_dump(self.store, path, name)

    def run(self, selection: str | None = None, meanwhile: Meanwhile | None = None) -> runner.Summary:
        defined = definitions(self.root, meanwhile or {})
        return runner.run(defined, self.store, self.instance, self.log.append, selection)


IN_EVERY_STORAGE = pytest.mark.parametrize("world", ["local", "gcs"], indirect=True)


@pytest.fixture
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A root of this machine, or in a bucket."""
    in_bucket = getattr(request, "param", "local") == "gcs"
    root = f"{request.getfixturevalue('bucket')}/root" if in_bucket else str(tmp_path / "root")
    with dg.DagsterInstance.ephemeral() as instance:
        yield World(tmp_path, root, instance)


def status(summary: runner.Summary) -> dict[str, str]:
    return {name: line.status for name, line in summary.lines.items()}


@IN_EVERY_STORAGE
def test_everything_is_made_once(world: World) -> None:
    world.dump("one", "a")
    first = world.run()
    assert first.success
    assert status(first) == dict.fromkeys(["repo_dump", "cmake_packages", "base_checkpoint"], "made")
    assert (first.lines["cmake_packages"].rows, first.lines["cmake_packages"].checks_passed) == (1, 1)
    runs = len(world.instance.get_runs())
    second = world.run()
    assert second.success
    assert set(status(second).values()) == {"current"}
    assert len(world.instance.get_runs()) == runs


@IN_EVERY_STORAGE
def test_a_new_dump_is_joined_and_the_old_one_is_left_alone(world: World) -> None:
    world.dump("one", "a")
    world.run()
    before = world.store.table_token("repo_dump", "one")
    world.dump("two", "b")
    assert world.run().success
    assert world.store.table_token("repo_dump", "one") == before
    assert world.store.scan("cmake_packages").collect()["package"].to_list() == ["a", "b"]
    assert world.store.result("checkpoints", "base_checkpoint")["weights_sha256"] == "a,b"  # type: ignore[index]


@IN_EVERY_STORAGE
def test_a_touched_dump_with_equal_content_stops_where_nothing_changed(world: World) -> None:
    world.dump("one", "a")
    world.run()
    (world.folder / "one" / "a").write_text("a")
    assert status(world.run()) == {"repo_dump": "made", "cmake_packages": "kept", "base_checkpoint": "kept"}


def test_a_broken_dump_is_named_and_the_others_go_on(world: World) -> None:
    world.dump("bad", "broken")
    world.dump("good", "a")
    summary = world.run()
    assert not summary.success
    assert "repo_dump [bad]" in summary.failures[0]
    assert "take it away" in summary.failures[0]
    assert world.store.scan("cmake_packages").collect()["package"].to_list() == ["a"]
    (world.folder / "bad" / "broken").unlink()
    assert world.run().success


def test_a_blocking_check_stops_what_comes_after(world: World) -> None:
    world.dump("one", "bad")
    summary = world.run()
    assert not summary.success
    assert summary.lines["cmake_packages"].checks_failed == ["cmake_packages:no_bad_package"]
    assert status(summary)["base_checkpoint"] == "not made"
    assert world.store.provenance("base_checkpoint") is None


def test_no_dump_at_all_makes_empty_joined_tables(world: World) -> None:
    summary = world.run("+cmake_packages")
    assert summary.success
    assert summary.lines["cmake_packages"].rows == 0


def test_a_selection_leaves_the_rest(world: World) -> None:
    world.dump("one", "a")
    assert set(world.run("+cmake_packages").lines) == {"repo_dump", "cmake_packages"}
    assert world.store.provenance("base_checkpoint") is None


def test_two_runs_on_one_root_do_not_mix(world: World) -> None:
    with runner.alone(world.store), pytest.raises(RuntimeError, match="another run is working"):
        world.run()


def test_a_blocking_check_that_failed_still_stops_the_next_run(world: World) -> None:
    world.dump("one", "bad")
    world.run()
    again = world.run()
    assert not again.success
    assert again.lines["cmake_packages"].checks_failed == ["cmake_packages:no_bad_package"]
    assert world.store.provenance("base_checkpoint") is None


def test_a_bare_name_in_a_selection_takes_everything_before_it(world: World) -> None:
    world.dump("one", "a")
    assert set(world.run("+base_checkpoint").lines) == {"repo_dump", "cmake_packages", "base_checkpoint"}
    with pytest.raises(ValueError, match="of no asset"):
        world.run("+no_such_asset")


@IN_EVERY_STORAGE
def test_a_table_that_was_never_made_is_not_read_as_an_empty_one(world: World) -> None:
    store = ParquetIOManager(root=world.root)
    context = dg.build_input_context(
        partition_key="one",
        asset_key=dg.AssetKey("repo_dump"),
        asset_partitions_def=dg.StaticPartitionsDefinition(["one"]),
    )
    with pytest.raises(FileNotFoundError, match="repo_dump of dump one has not been made"):
        store.load_input(context)


def by_hand(world: World, *names: str, partition: str | None = None) -> bool:
    """A run as the UI starts it: it neither plans nor skips anything."""
    world.instance.add_dynamic_partitions("repo_dumps", ["one"])
    job = definitions(world.root, {}).resolve_implicit_global_asset_job_def()
    chosen = [dg.AssetKey(name) for name in names]
    return job.execute_in_process(
        instance=world.instance, asset_selection=chosen, partition_key=partition, raise_on_error=False
    ).success


@IN_EVERY_STORAGE
def test_data_that_another_run_made_and_checked_are_current(world: World) -> None:
    world.dump("one", "a")
    assert by_hand(world, "repo_dump", partition="one") and by_hand(world, "cmake_packages", "base_checkpoint")
    assert set(status(world.run()).values()) == {"current"}


@IN_EVERY_STORAGE
def test_data_of_another_run_that_failed_their_check_are_not_current(world: World) -> None:
    world.dump("one", "bad")
    assert by_hand(world, "repo_dump", partition="one") and not by_hand(world, "cmake_packages", "base_checkpoint")
    assert world.store.provenance("cmake_packages") is not None
    summary = world.run()
    assert summary.lines["cmake_packages"].checks_failed == ["cmake_packages:no_bad_package"]
    assert status(summary)["base_checkpoint"] == "not made"


def test_data_that_nobody_checked_are_checked(world: World) -> None:
    world.dump("one", "a")
    world.run()
    world.store.place("checked/cmake_packages/all.no_bad_package.json").delete()
    assert status(world.run()) == {"repo_dump": "current", "cmake_packages": "kept", "base_checkpoint": "kept"}


@IN_EVERY_STORAGE
@pytest.mark.parametrize("overtaken", ["cmake_packages", "base_checkpoint"])
def test_of_two_writers_that_work_at_one_time_the_second_fails_and_changes_nothing(
    world: World, overtaken: str
) -> None:
    world.dump("one", "a")
    recipe = Recipe(overtaken, (), "code", "config")

    def overtake() -> None:
        if overtaken == "cmake_packages":
            world.store.write_table(TABLES[overtaken].empty(), stamp(recipe, None, "", "first", 0))
        else:
            work = world.store.work("other", "0" * 32)
            (work / "result.json").write_text("{}")
            world.store.publish("checkpoints", work, stamp(recipe, None, "", "first", None))

    summary = world.run(meanwhile={overtaken: overtake})
    assert not summary.success
    assert any(overtaken in failure and "another writer" in failure for failure in summary.failures)
    found = world.store.provenance(overtaken)
    assert found is not None and found.data_version == "first"
    assert world.run().success and status(world.run()) == dict.fromkeys(status(summary), "current")

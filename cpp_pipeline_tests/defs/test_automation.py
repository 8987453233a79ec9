"""What runs by itself, when it does, and what never does."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from unittest.mock import patch

import dagster as dg
import pytest

from cpp_pipeline.schemas import TABLES
from cpp_pipeline.storage import automation, watch
from cpp_pipeline.storage.assets import StoreResource, repo_dumps
from cpp_pipeline.storage.automation import JUDGED, SKIP
from cpp_pipeline.storage.dumps import add_dump, dumps, remove_dump
from cpp_pipeline.storage.store import Store
from cpp_pipeline_tests.defs.test_definitions import definitions, graph, specs

SENSORS = {sensor.name: sensor for sensor in definitions().get_repository_def().sensor_defs}
TRAINED = {"models", "rollouts", "evals", "agent"}
PARTITIONED = sorted(name for name, table in TABLES.items() if table.partitioned)
JOINED = sorted(key.path[-1] for key in automation.joined_stages().resolve(definitions().resolve_asset_graph()))
FROM_ALL_DUMPS = {
    "near_duplicate_edges",
    "compared_dumps",
    "duplicate_pairs",
    "decontamination_report",
    "docstring_sft",
}


def after(names: set[str]) -> set[str]:
    """These assets and everything downstream of them."""
    found = set(names)
    while more := {name for name, inputs in graph().items() if found & set(inputs)} - found:
        found |= more
    return found


# -- who runs by itself ---------------------------------------------------------------------------------------------


def test_nothing_that_needs_a_trained_model_runs_by_itself() -> None:
    trained = {name for name, spec in specs().items() if spec.group_name in TRAINED}
    trained |= {"tokenizer", "pretraining_corpus"}
    by_itself = {name for name, spec in specs().items() if spec.automation_condition is not None}
    assert by_itself and not by_itself & after(trained)
    assert by_itself == {*PARTITIONED, *JOINED} - {"repo_dump"}
    target = SENSORS["data_follows_dumps"].asset_selection
    assert target is not None
    assert {k.path[-1] for k in target.resolve(definitions().resolve_asset_graph())} == by_itself | {"repo_dump"}


def test_each_asset_is_in_one_of_the_three_jobs() -> None:
    jobs = [definitions().resolve_job_def(name) for name in ("data_stages", "joined_tables", "training")]
    found = [key.path[-1] for job in jobs for key in job.asset_layer.selected_asset_keys]
    assert sorted(found) == sorted(specs())
    assert all(job.description for job in jobs)


def test_what_the_sensor_leaves_out_before_the_canaries_is_what_comes_after_them() -> None:
    assert set(JUDGED) == after({"sandbox_canaries"}) & set(PARTITIONED)


def test_all_that_training_reads_says_when_it_is_old_and_so_do_checkpoints() -> None:
    with_policy = {name for name, spec in specs().items() if spec.freshness_policy is not None}
    models = {name for name, spec in specs().items() if spec.group_name == "models"}
    read = {name for model in models for name in graph()[model]} - set(PARTITIONED)
    assert {"combined_sft", "combined_cmake", "gspo_prompts", "pretraining_corpus", "tokenizer"} <= read
    assert {*JOINED, *models, *read, "pass_k_sft"} <= with_policy
    reports = {name for name, spec in specs().items() if spec.group_name == "evals"}
    assert with_policy == specs().keys() - set(PARTITIONED) - reports


def test_nothing_is_started_without_an_inbox() -> None:
    assert {s.default_status for s in SENSORS.values()} == {dg.DefaultSensorStatus.STOPPED}
    (schedule,) = definitions().get_repository_def().schedule_defs
    assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED


# -- conditions -----------------------------------------------------------------------------------------------------


class Home:
    """A Dagster home in which data are made by decree; `tick` is what the condition sensor asks for."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance, self.cursor = instance, None
        self.now = datetime(2026, 1, 5, 12, tzinfo=UTC)  # a Monday

    def tick(self, seconds: float = 30) -> dict[str, set[str | None]]:
        self.now += timedelta(seconds=seconds)
        target = SENSORS["data_follows_dumps"].asset_selection
        # the daemon asks the storage for the dumps once a tick, this function of Dagster's some 500 times
        known = cache(self.instance.get_dynamic_partitions)
        with patch.object(self.instance, "get_dynamic_partitions", known):
            found = dg.evaluate_automation_conditions(
                definitions(), self.instance, target, cursor=self.cursor, evaluation_time=self.now
            )
            self.cursor = found.cursor  # type: ignore[assignment]
            asked = {name: set(found.get_requested_partitions(dg.AssetKey(name))) for name in specs()}
        return {name: keys for name, keys in asked.items() if keys}

    def make(self, *names: str, version: str = "1", key: str | None = None) -> None:
        for name in names:
            tags = {"dagster/data_version": version}
            self.instance.report_runless_asset_event(dg.AssetMaterialization(name, partition=key, tags=tags))

    def check_canaries(self, passed: bool) -> None:
        key = dg.AssetKey("sandbox_canaries")
        told = dg.AssetCheckEvaluation(asset_key=key, check_name="fits_schema", passed=passed)
        self.instance.report_runless_asset_event(told)


@pytest.fixture
def home() -> Iterator[Home]:
    """A home in which all joined data are there, and no dump."""
    with dg.DagsterInstance.ephemeral() as instance:
        made = Home(instance)
        made.make(*JOINED)
        assert made.tick() == {}
        yield made


def add(home: Home, *keys: str) -> None:
    """New dumps, all of whose tables are made."""
    home.instance.add_dynamic_partitions("repo_dumps", list(keys))
    for key in keys:
        home.make(*PARTITIONED, key=key)


def test_in_a_new_home_what_needs_no_dump_is_made_once() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        home = Home(instance)
        assert set(home.tick()) == set(JOINED)
        assert home.tick() == {}


def test_a_new_partition_waits_for_the_sensors_run_and_is_completed_after_it(home: Home) -> None:
    home.instance.add_dynamic_partitions("repo_dumps", ["a"])
    assert home.tick() == {}
    home.make("repo_dump", key="a")
    assert home.tick() == {name: {"a"} for name in PARTITIONED if name != "repo_dump"}
    assert home.tick() == {}


def test_what_needs_verdicts_waits_for_the_canaries() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        home = Home(instance)
        home.tick()
        home.instance.add_dynamic_partitions("repo_dumps", ["a"])
        home.make(*set(PARTITIONED) - set(JUDGED), key="a")
        assert not set(JUDGED) & set(home.tick())
        home.make("sandbox_canaries")
        home.check_canaries(passed=False)
        assert not set(JUDGED) & set(home.tick())
        home.check_canaries(passed=True)
        assert {name: {"a"} for name in JUDGED}.items() <= home.tick().items()


def test_joined_tables_are_made_once_for_changed_data_and_not_for_equal_data(home: Home) -> None:
    add(home, "a", "b")
    assert home.tick().keys() >= FROM_ALL_DUMPS
    home.make(*JOINED)
    assert home.tick() == {}
    home.make(*PARTITIONED, key="a")
    assert home.tick() == {}, "the same data version as before"
    home.make("docstring_pairs", key="a", version="2")
    assert home.tick().keys() >= FROM_ALL_DUMPS
    assert home.tick() == {}


def test_a_dump_without_data_does_not_hold_up_the_joined_tables(home: Home) -> None:
    home.instance.add_dynamic_partitions("repo_dumps", ["broken"])
    add(home, "a")
    assert home.tick().keys() >= FROM_ALL_DUMPS


class Runs:
    """Tables of the real names and conditions that are made by real runs, and fail where they are told to."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance, self.cursor = instance, None
        self.bad: set[str] = set()
        self.broken: set[str] = set()
        conditions = {n: automation.condition(n, "pairs") for n in ("docstring_pairs", "duplicate_pairs")}

        @dg.asset(name="clean_files", partitions_def=repo_dumps)
        def clean_files() -> None: ...

        @dg.asset(
            name="docstring_pairs",
            partitions_def=repo_dumps,
            deps=[clean_files],
            automation_condition=conditions["docstring_pairs"],
        )
        def docstring_pairs(context: dg.AssetExecutionContext) -> None:
            if context.partition_key in self.broken:
                raise ValueError(f"{context.partition_key} cannot be read")

        @dg.asset_check(asset="docstring_pairs", blocking=True, partitions_def=repo_dumps)
        def is_sound(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
            return dg.AssetCheckResult(passed=context.op_execution_context.partition_key not in self.bad)

        @dg.asset(name="duplicate_pairs", deps=[docstring_pairs], automation_condition=conditions["duplicate_pairs"])
        def duplicate_pairs() -> None: ...

        self.definitions = dg.Definitions([clean_files, docstring_pairs, duplicate_pairs], asset_checks=[is_sound])

    def run(self, key: str, *names: str) -> bool:
        job = self.definitions.resolve_implicit_global_asset_job_def()
        chosen = [dg.AssetKey(name) for name in names or ("clean_files", "docstring_pairs")]
        self.instance.add_dynamic_partitions("repo_dumps", [key])
        return job.execute_in_process(
            asset_selection=chosen, partition_key=key, instance=self.instance, raise_on_error=False
        ).success

    def tick(self) -> dict[str, set[str | None]]:
        found = dg.evaluate_automation_conditions(self.definitions, self.instance, cursor=self.cursor)
        self.cursor = found.cursor  # type: ignore[assignment]
        asked = {name: set(found.get_requested_partitions(dg.AssetKey(name))) for name in CONDITIONED}
        return {name: keys for name, keys in asked.items() if keys}


CONDITIONED = ("docstring_pairs", "duplicate_pairs")


@pytest.fixture
def runs() -> Iterator[Runs]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Runs(instance)


def test_nothing_is_joined_from_data_that_did_not_pass_their_checks(runs: Runs) -> None:
    runs.bad = {"b"}
    assert runs.run("a") and not runs.run("b")
    assert runs.tick() == {}
    runs.bad = set()
    assert runs.run("b")
    assert runs.tick() == {"duplicate_pairs": {None}}


def test_a_removed_dump_whose_check_failed_holds_up_nothing(runs: Runs) -> None:
    runs.bad = {"b"}
    assert runs.run("a") and not runs.run("b")
    assert runs.tick() == {}
    runs.instance.delete_dynamic_partition("repo_dumps", "b")
    assert runs.tick() == {"duplicate_pairs": {None}}


def test_a_partition_that_failed_waits_for_people_and_one_that_is_only_missing_does_not(runs: Runs) -> None:
    runs.broken = {"b"}
    assert runs.run("a", "clean_files") and not runs.run("b")
    assert runs.tick() == {"docstring_pairs": {"a"}, "duplicate_pairs": {None}}
    assert runs.tick() == {}
    assert runs.run("a")
    assert runs.tick() == {"duplicate_pairs": {None}}, "whatever b does"
    runs.broken = set()
    assert runs.run("b")
    assert runs.tick() == {"duplicate_pairs": {None}}


def test_joined_tables_that_were_forgotten_are_asked_for_the_next_day(home: Home) -> None:
    assert set(home.tick(seconds=24 * 3600)) == set(JOINED)
    assert home.tick() == {}


# -- the sensor that sees dumps -------------------------------------------------------------------------------------


class Place:
    """A root, an inbox, and the sensor that looks there."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.inbox, self.instance, self.cursor = folder / "inbox", instance, None
        self.storage = StoreResource(root=str(folder / "root"))
        self.store: Store = self.storage.store
        self.inbox.mkdir()

    def put(self, *names: str) -> None:
        for name in names:
            (self.inbox / name).mkdir()
            (self.inbox / name / "a.cc").write_text("int main() {}\n")

    def look(self) -> dg.SensorResult:
        """One tick; what it asks of the partitions is done, as the daemon does it."""
        context = dg.build_sensor_context(
            self.instance, self.cursor, definitions=definitions(), resources={"storage": self.storage}
        )
        found = watch.look(context, self.store, str(self.inbox), 0.0)
        self.cursor = found.cursor  # type: ignore[assignment]
        for change in found.dynamic_partitions_requests or ():
            if isinstance(change, dg.AddDynamicPartitionsRequest):
                self.instance.add_dynamic_partitions(change.partitions_def_name, change.partition_keys)
            else:
                for key in change.partition_keys:
                    self.instance.delete_dynamic_partition(change.partitions_def_name, key)
        return found

    def keys(self) -> list[str]:
        return sorted(self.instance.get_dynamic_partitions("repo_dumps"))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with dg.instance_for_test() as instance:
        yield Place(tmp_path, instance)


def asked(found: dg.SensorResult) -> list[tuple[str | None, str | None]]:
    return [(r.job_name, r.partition_key) for r in found.run_requests or ()]


def test_a_dump_that_arrives_is_registered_and_its_data_stages_are_asked_for_once(place: Place) -> None:
    assert place.look().skip_reason.skip_message == "no new dump"  # type: ignore[union-attr]
    place.put("one", "two")
    found = place.look()
    assert asked(found) == [("data_stages", "one"), ("data_stages", "two")]
    assert place.keys() == [d.name for d in dumps(place.store)] == ["one", "two"]
    (request, _) = found.run_requests or ()
    assert request.tags.items() >= SKIP.items()
    assert {key.path[-1] for key in request.asset_selection or ()} == set(PARTITIONED) - set(JUDGED)
    assert asked(place.look()) == []


def test_judged_tables_are_asked_for_once_the_canaries_have_passed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Store, "is_checked", lambda *_: True)
    place.put("one")
    (request,) = place.look().run_requests or ()
    assert {key.path[-1] for key in request.asset_selection or ()} == set(PARTITIONED)


def test_a_dump_that_people_registered_is_started_too(place: Place, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    add_dump(place.store, tmp_path / "elsewhere", "by-hand")
    assert asked(place.look()) == [("data_stages", "by-hand")]


def test_one_that_cannot_be_registered_is_told_and_the_others_start(place: Place) -> None:
    place.put("a b", "a-b", "good")
    assert asked(place.look()) == [("data_stages", "good")]
    reason = place.look().skip_reason
    assert reason is not None and "would both be dump 'a-b': rename one" in str(reason.skip_message)


def test_of_a_removed_dump_the_partition_goes_and_the_joined_tables_are_made_without_it(place: Place) -> None:
    place.put("one", "two")
    place.look()
    remove_dump(place.store, "two")
    (place.inbox / "two").rename(place.inbox / "_two")
    found = place.look()
    assert asked(found) == [("joined_tables", None)]
    assert place.keys() == ["one"]
    assert asked(place.look()) == []


def test_a_removed_dump_is_not_taken_again_until_people_add_it(place: Place) -> None:
    place.put("one")
    (first,) = place.look().run_requests or ()
    remove_dump(place.store, "one")
    place.instance.delete_dynamic_partition("repo_dumps", "one")
    assert asked(place.look()) == [("joined_tables", None)]
    assert asked(place.look()) == []
    add_dump(place.store, place.inbox / "one", "one")
    (again,) = place.look().run_requests or ()
    assert again.partition_key == "one"
    assert again.run_key != first.run_key, "else Dagster would take it for done"


def test_partitions_that_nobody_registered_here_are_left_alone(place: Place) -> None:
    place.instance.add_dynamic_partitions("repo_dumps", ["of-another-root"])
    place.look()
    assert place.keys() == ["of-another-root"]


def test_the_sensor_of_the_definitions_looks_where_the_settings_say(place: Place) -> None:
    context = dg.build_sensor_context(
        place.instance, definitions=definitions(), resources={"storage": place.storage}, sensor_name="new_dumps"
    )
    place.put("one")
    found = SENSORS["new_dumps"].evaluate_tick(context)
    assert found.skip_message == "no new dump" and not found.run_requests  # CPP_PIPELINE_INBOX is empty here


# -- the schedule ---------------------------------------------------------------------------------------------------


def test_every_week_each_dump_is_looked_at_again(place: Place) -> None:
    place.put("one", "two")
    place.look()
    (schedule,) = definitions().get_repository_def().schedule_defs
    context = dg.build_schedule_context(
        place.instance,
        datetime(2026, 1, 4, 2, tzinfo=UTC),
        resources={"storage": place.storage},
        repository_def=definitions().get_repository_def(),
    )
    found = schedule.evaluate_tick(context).run_requests or []
    assert [(r.run_key, r.partition_key) for r in found] == [("2026-01-04-one", "one"), ("2026-01-04-two", "two")]
    assert all(r.tags.items() >= SKIP.items() for r in found)
    assert schedule.cron_schedule == "0 2 * * 0"

"""A real daemon: a dump is put into the inbox, and the joined tables follow with nobody's hand on them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import dagster as dg
import pytest

from cpp_pipeline.schemas import TABLES
from cpp_pipeline_tests.daemon import Place

pytestmark = pytest.mark.slow

PATIENCE_SECONDS = 900.0
TRAINED = ("tokenizer", "pretraining_corpus", "base_checkpoint", "pass_k_solutions", "base_eval")


def duplicates(place: Place) -> list[str]:
    """The dumps of functions that are left out for one of another dump."""
    if not place.store.has_table("duplicate_pairs"):
        return []
    return sorted(place.store.scan("duplicate_pairs").collect()["dump"].to_list())


def idle(place: Place) -> bool:
    with place.instance() as instance:
        return not instance.get_runs(dg.RunsFilter(statuses=[s for s in dg.DagsterRunStatus if s not in ENDED]))


ENDED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


def test_a_dump_that_arrives_reaches_the_joined_table_without_a_hand_on_it(tmp_path: Path) -> None:
    place = Place(tmp_path)
    with place.daemon(watching=True):
        place.arrive("one", 1, 2)
        place.wait(lambda: "one" in place.store.partitions("function_signatures"), PATIENCE_SECONDS)
        place.arrive("two", 2, 3)
        place.wait(lambda: duplicates(place) == ["two"], PATIENCE_SECONDS)
        place.wait(lambda: "two" in place.store.partitions("cmake_sft"), PATIENCE_SECONDS)
        place.wait(lambda: idle(place), PATIENCE_SECONDS)
    with place.instance() as instance:
        runs = instance.get_runs()
        assert [r.run_id for r in runs if r.status != dg.DagsterRunStatus.SUCCESS] == []
        made: Counter[tuple[str, str | None]] = Counter()
        for run in runs:
            for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION):
                event = entry.get_dagster_event()
                found = event.step_materialization_data.materialization
                if event.asset_key is not None and "cpp_pipeline/kept" not in found.metadata:
                    made[event.asset_key.path[-1], found.partition] += 1
    twice = {what: times for what, times in made.items() if times > 1 and what[1] is not None}
    assert twice == {}, "a table of a dump is made once"
    assert {(n, k) for n, t in TABLES.items() if t.partitioned for k in ("one", "two")} <= made.keys()
    assert not {name for name, _ in made} & set(TRAINED)
    for name, table in TABLES.items():
        for key in place.store.partitions(name) if table.partitioned else []:
            assert place.store.is_checked(name, key, ["fits_schema"]), (name, key)
    print(f"runs: {len(runs)}, tables made: {sum(made.values())}, of joined ones: {made['duplicate_pairs', None]}")

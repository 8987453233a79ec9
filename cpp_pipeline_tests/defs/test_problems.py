"""Problem tables: judged references, a kept split, and defective neighbours."""

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from cpp_pipeline.defs import problems
from cpp_pipeline.defs.resources import PRESET
from cpp_pipeline.schemas import TABLES
from cpp_pipeline.storage.dumps import add_problems
from cpp_pipeline_tests.defs.conftest import SIZES
from cpp_pipeline_tests.defs.support import Bench, frame, row

Tables = dict[str, pl.DataFrame]


def test_the_preset_sets_the_sizes(problem_tables: Tables) -> None:
    family = {n: problem_tables[n].filter(source="family").height for n in ("train_problems", "eval_problems")}
    assert family == {"train_problems": SIZES.train_problems, "eval_problems": SIZES.eval_problems}
    for name in family:
        assert TABLES[name].violations(problem_tables[name].lazy()) == {}


def test_no_ingredients_are_on_both_sides(problem_tables: Tables) -> None:
    train, held_out = problem_tables["train_problems"], problem_tables["eval_problems"]
    assert not set(train["split_key"]) & set(held_out["split_key"])
    assert not set(train["problem_id"]) & set(held_out["problem_id"])


def test_problems_are_mined_from_the_dump_and_refused_ones_have_a_reason(problem_tables: Tables) -> None:
    mined = problem_tables["train_problems"].filter(source="mined")
    assert 0 < mined.height <= SIZES.mined_candidates
    assert mined["provenance"].str.starts_with("bundled:").all()
    assert mined["mutation_score"].min() >= 0.8  # type: ignore[operator]
    assert "member function" in set(problem_tables["train_problems_quarantine"]["reason"])


@pytest.mark.parametrize("dumps", [(), ("one",), ("one", "two")])
def test_mining_joins_the_dumps(
    judging: Bench, bench: Bench, bundled: Tables, dumps: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(problems, "PRESET", replace(PRESET, train_problems=1, mined_candidates=1))
    halves = {"one": bundled["docstring_pairs"].head(40), "two": bundled["docstring_pairs"].tail(40)}
    bench.resources["sandbox"] = judging.resources["sandbox"]
    none = {"duplicate_pairs": frame("duplicate_pairs")}
    store = bench.stored(problems.train_problems, {d: {"docstring_pairs": halves[d]} for d in dumps}, none)
    looked_at = {i for d in dumps for i in halves[d]["pair_id"]}
    refused = set(store.scan("train_problems_quarantine").collect()["row_id"])
    mined = store.scan("train_problems").filter(source="mined").collect()
    assert refused <= looked_at
    assert all(refused & set(halves[d]["pair_id"]) for d in dumps)
    assert {i.removeprefix("mined/") for i in mined["problem_id"]} <= looked_at - refused
    assert store.scan("train_problems").filter(source="family").collect().height == 1


def test_a_problem_set_of_the_user_is_held_out_and_a_wrong_reference_is_quarantined(
    bench: Bench, judging: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(problems, "PRESET", replace(PRESET, eval_problems=1))
    bench.resources["sandbox"] = judging.resources["sandbox"]
    code = "int triple(int x) {{\n    return {answer};\n}}\n"
    tests = [{"args": [n], "expected": 3 * n} for n in (0, 1, 5)]
    text = {"instruction": "Write `int triple(int x)`: three times x.", "doc": "Three times x."}
    rows = [
        {"id": name, "signature": "int triple(int x)", "tests": tests, "reference": code.format(answer=answer), **text}
        for name, answer in (("right", "3 * x"), ("wrong", "2 * x"))
    ]
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    add_problems(bench.store, tmp_path / "mine.jsonl")
    made = bench.in_memory(problems.eval_problems)
    own = made["eval_problems"].filter(source="user")
    assert own["reference"].to_list() == [code.format(answer="3 * x")]
    refused = made["eval_problems_quarantine"].row(0, named=True)
    assert refused["reason"] == "reference fails"
    assert "wrong" in refused["row_id"]


def test_repairs_fail_a_test_and_near_misses_few(judging: Bench, problem_tables: Tables) -> None:
    few = problem_tables["train_problems"].filter(source="family").head(8)
    made = judging.in_memory(problems.repair_rows, problems.near_misses, inputs={"train_problems": few})
    references = dict(few.select("problem_id", "reference").rows())
    repairs, near = made["repair_rows"], made["near_misses"]
    assert repairs.height > 0
    assert repairs.filter(pl.col("tests_passed") >= pl.col("tests_total")).is_empty()
    for problem, before, after in repairs[["problem_id", "before", "after"]].rows():
        assert references[problem] == after != before
    assert near.height > 0
    failed = near["tests_total"] - near["tests_passed"]
    assert failed.min() >= 1  # type: ignore[operator]
    assert (failed * 5 <= near["tests_total"]).all()
    assert all(references[p] == chosen for p, chosen in near[["problem_id", "chosen"]].rows())


def test_without_problems_there_is_nothing_to_repair(judging: Bench) -> None:
    unusable = frame("train_problems", row("train_problems", reference="", n_tests=0))
    made = judging.in_memory(problems.repair_rows, problems.near_misses, inputs={"train_problems": unusable})
    assert (made["repair_rows"].height, made["near_misses"].height) == (0, 0)

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cpp_pipeline.problems import family
from cpp_pipeline.problems.family import (
    Step,
    Task,
    evaluate,
    generate,
    held_out_pairs,
    rename_entry,
    solutions,
)
from cpp_pipeline.problems.operators import OPERATORS, REDUCERS
from cpp_pipeline.problems.tests import loads_tests
from cpp_pipeline.sandbox.types import Job
from cpp_pipeline.schemas import TABLES


def cpp_meaning(expression: str, x: int) -> int:
    """The C++ expression of an operator, read on its own: `/` and `%` by float truncation and fmod."""
    python = re.sub(r"std::(abs|min|max)", r"\1", expression)
    if "/" in python:
        left, right = python.split("/")
        return math.trunc(eval(left, {"x": x}) / eval(right, {}))
    modulo = re.fullmatch(r"x % (\d+)(.*)", python)
    if modulo:
        rest = int(math.fmod(x, int(modulo[1])))
        return int(eval(f"({rest}){modulo[2]}"))
    return int(eval(python, {"x": x, "abs": abs, "min": min, "max": max}))


@st.composite
def tasks(draw: st.DrawFn) -> Task:
    steps = []
    for _ in range(draw(st.integers(1, 2))):
        operator = OPERATORS[draw(st.sampled_from(sorted(OPERATORS)))]
        steps.append(Step(operator, draw(st.integers(*(operator.k_range or (0, 0))))))
    return Task(tuple(steps), REDUCERS[draw(st.sampled_from(sorted(REDUCERS)))])


def independent(task: Task, values: list[int]) -> int | list[int]:
    left = list(values)
    for step in task.steps:
        cpp = step.operator.cpp.format(k=step.k)
        results = [cpp_meaning(cpp, x) for x in left]
        left = [x for x, ok in zip(left, results, strict=True) if ok] if step.operator.is_filter else results
    if task.reducer.returns_list:
        return left
    r = 0
    for x in left:
        r = {
            "sum": r + x,
            "count": r + 1,
            "max": x if x > r else r,
            "min": x if x < r else r,
            "last": x,
            "xor": r ^ x,
            "alternating": x - r,
        }[task.reducer.name]
    return r


@settings(deadline=None, max_examples=300)
@given(tasks(), st.lists(st.integers(-30, 30), max_size=9))
def test_evaluate_agrees_with_an_independent_reading(task: Task, values: list[int]) -> None:
    assert evaluate(task, values) == independent(task, values)


def test_overflow_is_refused() -> None:
    square = Step(OPERATORS["square"])
    with pytest.raises(OverflowError, match="32 bits"):
        evaluate(Task((square, square), REDUCERS["sum"]), [1000])


@given(tasks())
def test_solutions_are_laid_out_as_promised(task: Task) -> None:
    found = solutions(task)
    has_filter = any(s.operator.is_filter for s in task.steps)
    assert len(found) == len(set(found)) == (4 if has_filter else 2)
    for code in found:
        assert code.startswith(task.signature + " {\n")
        assert code.endswith("\n    return r;\n}\n")
        assert all((len(line) - len(line.lstrip())) % 4 == 0 for line in code.splitlines())


@pytest.fixture(scope="module")
def rows() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    return generate(600, 128, seed=0)


def test_rows_fit_their_tables(rows: Any) -> None:
    for table, part in zip(("train_problems", "eval_problems"), rows, strict=True):
        assert TABLES[table].violations(TABLES[table].frame(part)) == {}
    assert [len(part) for part in rows] == [600, 128]


def test_no_held_out_pair_trains_in_either_order(rows: Any) -> None:
    train, evaluation = rows
    trained = {frozenset(k[5:].split("+")) for r in train if (k := r["split_key"]).startswith("pair:")}
    held_out = {frozenset(r["split_key"][5:].split("+")) for r in evaluation}
    assert not trained & held_out
    assert held_out <= {frozenset(p) for p in held_out_pairs()}
    # What a held-out problem is made of does occur in training.
    assert {name for pair in held_out for name in pair} <= {name for pair in trained for name in pair}


def test_split_keys_tell_the_truth(rows: Any) -> None:
    for row in [*rows[0], *rows[1]]:
        steps = row["provenance"].split(" ", 1)[1].split(">")[0].split("|")
        names = sorted(s.split(":")[0] for s in steps)
        expected = f"one:{names[0]}" if len(names) == 1 else f"pair:{'+'.join(names)}"
        assert row["split_key"] == expected


def test_one_step_share_and_no_duplicates(rows: Any) -> None:
    train, evaluation = rows
    assert sum(r["split_key"].startswith("one:") for r in train) == 120
    assert len({r["instruction"] for r in train}) == len(train)
    combinations = {(r["split_key"], r["provenance"].rsplit(">", 1)[1].split(":")[0]) for r in evaluation}
    assert len(combinations) == len(evaluation)


def test_training_problems_have_two_styles_of_all_four_and_held_out_ones_have_all(rows: Any) -> None:
    train, evaluation = rows
    assert {len(r["references"]) for r in train} == {2}
    assert {len(r["references"]) for r in evaluation} == {2, 4}
    # With a filter there are four styles; both ways to write it and both loops are trained on.
    filters = [r for r in train if "if (" in r["reference"] and "x > r" not in r["reference"]]
    used = Counter(("size_t i" in code, "continue" in code) for r in filters for code in r["references"])
    assert len(used) == 4
    assert max(used.values()) < 2 * min(used.values())


@pytest.mark.slow
def test_one_step_problems_run_out_and_two_step_ones_take_their_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(family, "ONE_STEP_SHARE", 0.5)
    train = generate(6000, 0, seed=0)[0]
    assert len({r["problem_id"] for r in train}) == 6000
    assert 2000 < sum(r["split_key"].startswith("one:") for r in train) < 3000


def test_evaluation_does_not_depend_on_the_seed(rows: Any) -> None:
    assert generate(0, 128, seed=7)[1] == rows[1]
    assert generate(0, 8, seed=1)[1] == rows[1][:8]
    assert generate(60, 0, seed=0)[0] == rows[0][:60]
    assert generate(60, 0, seed=1)[0] != rows[0][:60]


def test_tests_are_telling(rows: Any) -> None:
    for row in [*rows[0], *rows[1]]:
        tests = loads_tests(row["tests"])
        assert len(tests) == family.N_TESTS == len({str(t["args"]) for t in tests})
        assert tests[0]["args"] == [[]]
        assert all(1 <= len(t["args"][0]) <= 9 and max(map(abs, t["args"][0])) <= 30 for t in tests[1:])
        answers = [str(t["expected"]) for t in tests]
        assert max(answers.count(a) for a in answers) <= 7


def test_too_many_problems_are_refused() -> None:
    with pytest.raises(ValueError, match="held-out problems; 5000 were asked for"):
        generate(0, 5000, seed=0)


def test_entry_is_renamed_everywhere() -> None:
    assert len(set(family.ENTRY_NAMES)) == 20
    code = "int solve(int n) {\n    return n ? solve(n - 1) : resolve;\n}\n"
    assert rename_entry(code, "digest") == "int digest(int n) {\n    return n ? digest(n - 1) : resolve;\n}\n"


def test_references_pass_in_the_sandbox(client: Any, rows: Any) -> None:
    chosen = [*rows[0][:12], *rows[1][:12]]
    jobs = [
        Job(f"{r['problem_id']}/{i}", code, r["signature"], loads_tests(r["tests"]), r["preamble"])
        for r in chosen
        for i, code in enumerate(r["references"])
    ]
    results = client.batch_verify(jobs)
    assert {r.verdict for r in results} == {"AC"}

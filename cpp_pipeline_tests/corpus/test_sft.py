"""Supervised rows: chosen by seed, complete, weighted, and kept apart when too long."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import polars as pl

from cpp_pipeline.corpus import sft
from cpp_pipeline.corpus.formats import chat_text
from cpp_pipeline.models.presets import TINY
from cpp_pipeline.schemas import TABLES
from cpp_pipeline_tests.corpus.conftest import pair_row

PRESET = replace(TINY, sft_problems=8, docstring_weight=0.05)


def _solution(problem: dict[str, Any], number: int, code: str, **changes: Any) -> dict[str, Any]:
    row = {
        "problem_id": problem["problem_id"],
        "solution_id": f"{problem['problem_id']}#{number}",
        "sample_id": number,
        "prompt": "",
        "code": code,
        "count": 1,
        "k": 8,
        "verdict": "AC",
        "compile_ok": True,
        "tests_passed": 10,
        "tests_total": 10,
        "score": 1.0,
        "category": "correct",
        "n_tokens": 20,
        "truncated": False,
        "error": None,
    }
    return {**row, **changes}


def _repair(problem: dict[str, Any]) -> dict[str, Any]:
    test = {"args": [[1, 2]], "expected": 3, "actual": 4, "verdict": "WA"}
    return {
        "row_id": f"repair/{problem['problem_id']}",
        "problem_id": problem["problem_id"],
        "operator": "constant_plus",
        "before": problem["reference"].replace("r = 0", "r = 1"),
        "failing_test": json.dumps(test),
        "after": problem["reference"],
        "tests_passed": 3,
        "tests_total": 10,
    }


def _diff(n: int) -> dict[str, Any]:
    marks = dict.fromkeys((c.name for c in TABLES["diff_sft"].columns if c.dtype == pl.Boolean()), False)
    return marks | {
        "row_id": f"{n:08x}",
        "dump": "demo",
        "repo": "sums",
        "commit": "abc",
        "path": "src/sums.cpp",
        "origin": "commit",
        "function": "f",
        "licence": "MIT",
        "message": "fix: start at 0",
        "instruction": "Fix: start at 0.",
        "before": f"int f() {{ return {n} + 1; }}\n",
        "after": f"int f() {{ return {n}; }}\n",
        "edits": [],
        "n_changed_tokens": 2,
        "n_tokens": 11,
        "is_fix": True,
        "n_redacted": 0,
    }


def _combined(problem_rows: list[dict[str, Any]], **changes: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    frames = {
        "docstring_rows": sft.docstring_sft(
            TABLES["docstring_pairs"].frame([pair_row(n) for n in range(40)]), frozenset(), PRESET, 0
        ),
        "pass_k_rows": TABLES["pass_k_sft"].empty(),
        "diff_rows": TABLES["diff_sft"].frame([_diff(n) for n in range(40)]),
        "repair_rows": TABLES["repair_rows"].frame([_repair(p) for p in problem_rows]),
        "problems": TABLES["train_problems"].frame(problem_rows),
        "excluded_ids": frozenset(),
        "preset": PRESET,
        "seed": 0,
    }
    good, bad = sft.combined_sft(**{**frames, **changes})
    assert TABLES["combined_sft"].violations(good) == {}
    return good.collect().to_dicts(), bad.collect().to_dicts()


def test_combined_has_two_styles_a_problem_and_bounded_auxiliary_rows(
    problem_rows: list[dict[str, Any]],
) -> None:
    rows, bad = _combined(problem_rows)
    by_source = {s: [r for r in rows if r["source"] == s] for s in ("reference", "docstring", "diff", "repair")}
    assert [len(v) for v in by_source.values()] == [16, 16, 16, 16]
    assert {r["weight"] for r in by_source["reference"]} == {1.0}
    assert {r["weight"] for s in ("docstring", "diff", "repair") for r in by_source[s]} == {0.05}
    known = {p["problem_id"]: p for p in problem_rows}
    for row in by_source["reference"]:
        assert row["response"] in known[row["provenance"]]["references"]
        assert row["instruction"] == known[row["provenance"]]["instruction"]
    assert len({r["response"] for r in by_source["reference"]}) == 16
    assert bad == []


def test_choice_depends_on_the_seed_alone(problem_rows: list[dict[str, Any]]) -> None:
    first, _ = _combined(problem_rows)
    shuffled, _ = _combined(problem_rows[::-1])
    other, _ = _combined(problem_rows, seed=1)
    assert first == shuffled
    assert [r["row_id"] for r in first] != [r["row_id"] for r in other]


def test_pass_k_rows_join_when_they_differ_from_the_references(problem_rows: list[dict[str, Any]]) -> None:
    problems = TABLES["train_problems"].frame(problem_rows)
    problem = sft.chosen_problems(problems, 1, 0).collect().to_dicts()[0]
    own = problem["reference"].replace("int x", "int value_0")
    same = "// my way\n" + problem["references"][0]
    solutions = [
        _solution(problem, 0, own, count=3),
        _solution(problem, 1, same, count=2),
        _solution(problem, 2, own.replace("value_0", "value_1")),
        _solution(problem, 3, own.replace("value_0", "value_2")),
        _solution(problem, 4, "int wrong() {}", verdict="WA", score=0.0, category="wrong"),
        _solution(problem, 5, "int x;", verdict=None, score=None, category=None, error="timeout"),
    ]
    table = sft.pass_k_sft(TABLES["pass_k_solutions"].frame(solutions), problems)
    assert TABLES["pass_k_sft"].violations(table) == {}
    row = table.collect().to_dicts()[0]
    assert [s["code"] for s in row["solutions"]][:2] == [own, same]
    assert len(row["solutions"]) == 4
    rows, _ = _combined(problem_rows, pass_k_rows=table)
    added = [r["response"] for r in rows if r["source"] == "pass_k"]
    assert added == [own, own.replace("value_0", "value_1")]


def test_repairs_show_the_code_and_the_failing_test(problem_rows: list[dict[str, Any]]) -> None:
    rows, _ = _combined(problem_rows)
    repair = next(r for r in rows if r["source"] == "repair")
    problem = next(p for p in problem_rows if p["problem_id"] == repair["provenance"])
    assert repair["response"] == problem["reference"]
    assert repair["instruction"].startswith(problem["instruction"])
    assert _repair(problem)["before"].rstrip() in repair["instruction"]
    assert "It fails [1,2] -> 3, not 4" in repair["instruction"]
    diff = next(r for r in rows if r["source"] == "diff")
    assert diff["instruction"].startswith("Fix: start at 0.\nint f() { return ")


def test_long_rows_are_quarantined_with_reason(problem_rows: list[dict[str, Any]]) -> None:
    long = pair_row(7, code="int f() {\n" + "    g();\n" * 200 + "}")
    pairs = TABLES["docstring_pairs"].frame([long, pair_row(8)])
    rows, bad = _combined(problem_rows, docstring_rows=sft.docstring_sft(pairs, frozenset(), PRESET, 0))
    assert [b["row_id"] for b in bad] == ["docstring/00000007"]
    assert bad[0]["reason"] == "too long"
    assert "demo/sums/src/sums.cpp:71" in bad[0]["detail"]
    budget = int(sft.CHARACTERS_PER_TOKEN * PRESET.seq_tokens)
    assert max(len(chat_text(r["instruction"], r["response"])) for r in rows) <= budget


def test_excluded_rows_stay_out(problem_rows: list[dict[str, Any]]) -> None:
    report = TABLES["decontamination_report"].frame(
        [
            {"table": "t", "row_id": i, "problem_id": "p", "rule": "doc", "matched": "m"}
            for i in [p["problem_id"] for p in problem_rows[1:]]
        ]
    )
    rows, _ = _combined(problem_rows, excluded_ids=sft.excluded(report))
    kept = {r["provenance"] for r in rows if r["source"] in ("reference", "repair")}
    assert kept == {problem_rows[0]["problem_id"]}
    pairs = TABLES["docstring_pairs"].frame([pair_row(1), pair_row(2)])
    documented = sft.docstring_sft(pairs, frozenset({"00000001"}), PRESET, 0)
    assert documented.select("row_id").collect().to_series().to_list() == ["docstring/00000002"]


def test_problems_that_the_report_names_are_left_out_everywhere(problem_rows: list[dict[str, Any]]) -> None:
    names = [p["problem_id"] for p in problem_rows]
    hit = {"problem_id": "held out", "matched": "m"}
    report = TABLES["decontamination_report"].frame(
        [
            {"table": "train_problems", "row_id": names[0], "rule": "doc", **hit},
            {"table": "train_problems", "row_id": names[0], "rule": "tokens", **hit},
            {"table": "docstring_pairs", "row_id": names[1], "rule": "doc", **hit},
        ]
    )
    problems = TABLES["train_problems"].frame(problem_rows)
    kept = sft.kept_problems(problems, report)
    assert kept.select("problem_id").collect().to_series().to_list() == names[1:]
    solutions = TABLES["pass_k_solutions"].frame([_solution(p, 0, "int f();") for p in problem_rows[:3]])
    assert sft.kept_problems(solutions, report).collect()["problem_id"].to_list() == names[1:3]
    # Sampling and supervised rows draw the same problems of the same kept ones.
    report = report.filter(table="train_problems")
    sampled = sft.chosen_problems(sft.kept_problems(problems, report), PRESET.sft_problems, 0)
    rows, _ = _combined(problem_rows, excluded_ids=sft.excluded(report))
    learned = {r["provenance"] for r in rows if r["source"] == "reference"}
    assert learned == set(sampled.select("problem_id").collect().to_series())


def test_docstring_rows_are_good_and_distinct() -> None:
    pairs = TABLES["docstring_pairs"].frame(
        [
            pair_row(1),
            pair_row(2, token_sha256=pair_row(1)["token_sha256"]),
            pair_row(3, has_parse_error=True),
            pair_row(4, quality=0.1),
            pair_row(5, doc="  "),
        ]
    )
    rows = sft.docstring_sft(pairs, frozenset(), PRESET, 0)
    assert TABLES["docstring_sft"].violations(rows) == {}
    row = rows.collect().to_dicts()
    assert [r["row_id"] for r in row] == ["docstring/00000001"]
    assert row[0]["instruction"] == "Write `int sum_1(const std::vector<int>& v)`: Adds the values and 1."
    assert row[0]["response"].endswith("}\n")


def test_chosen_problems_have_a_reference(problem_rows: list[dict[str, Any]]) -> None:
    rows = [*problem_rows[:3], {**problem_rows[3], "reference": "", "references": []}]
    frame = TABLES["train_problems"].frame(rows)
    chosen = sft.chosen_problems(frame, 10, 0)
    assert TABLES["train_problems"].conform(chosen).collect().height == 3
    two = sft.chosen_problems(frame, 2, 0).select("problem_id").collect()
    assert two.equals(chosen.select("problem_id").collect().head(2))

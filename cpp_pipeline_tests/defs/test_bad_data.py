"""One bad row in a stored table is seen by the check that is there for it, and nothing is made from the table.

Each case plants good rows with the bad one between a real check and an asset that comes after it; the table lies on
disk, as it does in a run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import dagster as dg
import polars as pl
import pytest

from cpp_pipeline.schemas import TABLES
from cpp_pipeline.storage.assets import repo_dumps
from cpp_pipeline_tests.defs.support import Bench, frame, row
from cpp_pipeline_tests.defs.test_definitions import blocking_checks

Row = dict[str, Any]
SECRET_PROJECT = "project(secret)\nadd_executable(secret main.cpp)\n"
GOOD: Mapping[str, Row] = {
    "clean_files": {"licence": "MIT"},
    "docstring_pairs": {"body": "return 1;", "code": "int f() { return 1; }", "line": 3, "end_line": 3},
    "diff_sft": {"before": "a", "after": "b"},
    "sandbox_canaries": {"ok": True},
    "cmake_problems": {"split": "train"},
    "combined_cmake": {"source": "dump"},
    "router_sft": {"split": "train"},
    "repair_rows": {"before": "a", "after": "b", "tests_passed": 0, "tests_total": 5, "problem_id": "problem_id 1"},
    "near_misses": {
        "chosen": "a", "rejected": "b", "tests_passed": 4, "tests_total": 5, "problem_id": "problem_id 1",
    },
    "pass_k_solutions": {
        "problem_id": "problem_id 1", "verdict": "AC", "tests_passed": 5, "tests_total": 5, "score": 1.0,
    },
    "pass_k_sft": {"solutions": [{"code": "a", "score": 1.0}]},
    "docstring_sft": {"source": "docstring"},
    "combined_sft": {"source": "reference"},
    "preference_pairs": {
        "chosen": "a", "rejected": "b", "chosen_passed": 5, "rejected_passed": 4, "tests_total": 5, "similarity": 0.9,
        "margin": 0.2, "chosen_passes_all": True,
    },
    "gspo_prompts": {"reference_solutions": [{"code": "a", "score": 1.0}]},
}  # fmt: skip
"""What a row of a table needs to be right, beside fitting its declaration."""
OTHERS: Mapping[str, Mapping[str, Row]] = {
    "eval_problems": {
        "held out": {"problem_id": "secret", "split_key": "secret key", "references": ["int secret() { return 7; }"]}
    },
    "train_problems": {"open": {"problem_id": "problem_id 1"}},
    "cmake_problems": {
        "held out": {"split": "eval", "instruction": "Build the secret.", "reference": SECRET_PROJECT},
        "open": {"split": "train", "instruction": "instruction 0", "reference": "response 0"},
    },
    "decontamination_report": {"near": {"row_id": "near"}},
    "duplicate_pairs": {"double": {"pair_id": "double"}},
}
"""The rows of the tables that a check reads beside its own."""


class Case(NamedTuple):
    """A bad row: the table, what is wrong with it, and the check that blocks."""

    table: str
    bad: Row
    check: str
    also: str = ""
    """Another check that sees it, too."""

    def __str__(self) -> str:
        return f"{self.table}: {', '.join(self.bad)}: {self.check}"


NAN, INFINITE = float("nan"), float("inf")


FIT, HELD, NEAR, DOUBLE = "fits_schema", "no_held_out_problem", "nothing_near_held_out", "near_duplicates_are_out"
SOLVED = {"code": "a", "score": 1.0}
FAILED = {"code": "b", "score": 0.8}
CASES = (
    Case("docstring_pairs", {"code": None}, FIT),
    Case("docstring_pairs", {"line": 0}, FIT),
    Case("preference_pairs", {"similarity": 1.5}, FIT),
    Case("pass_k_solutions", {"category": "excellent"}, FIT),
    Case("combined_sft", {"row_id": "row_id 0"}, FIT),
    Case("combined_sft", {"source": "the net"}, FIT),
    Case("gspo_prompts", {"n_tests": 0}, FIT),
    Case("combined_sft", {"weight": NAN}, FIT),
    Case("combined_sft", {"weight": INFINITE}, FIT),
    Case("preference_pairs", {"margin": NAN}, FIT, also="chosen_beats_rejected"),
    Case("gspo_prompts", {"negative_samples": [{**FAILED, "score": -INFINITE, "error": "wrong_answer"}]}, FIT),
    Case("router_sft", {"tool": "format_disk"}, FIT),
    Case("agent_problems", {"tool": "none"}, FIT),
    Case("dropped_files", {"reason": "ugly"}, FIT),
    Case("train_problems_quarantine", {"row_id": "row_id 0"}, FIT),
    Case("sandbox_canaries", {"ok": False}, "sandbox_is_right"),
    Case("clean_files", {"licence": "GPL-3.0-only"}, "may_be_learned_from"),
    Case("clean_files", {"is_generated": True}, "may_be_learned_from"),
    Case("docstring_pairs", {"body": "return 2;"}, "function_contains_its_body"),
    Case("docstring_pairs", {"end_line": 2}, "function_contains_its_body"),
    Case("diff_sft", {"after": "a"}, "repair_changes_something"),
    Case("duplicate_pairs", {"kept_pair_id": "pair_id 0"}, "what_is_kept_stays"),
    Case("cmake_problems", {"split": "eval", "reference": "reference 0"}, "sides_are_apart"),
    Case("router_sft", {"split": "eval", "template_id": "template_id 0"}, "phrasings_are_apart"),
    Case("repair_rows", {"tests_passed": 5}, "mutant_fails"),
    Case("repair_rows", {"after": "a"}, "mutant_fails"),
    Case("repair_rows", {"problem_id": "secret"}, "problem_is_for_training"),
    Case("near_misses", {"tests_passed": 3}, "chosen_beats_rejected"),
    Case("near_misses", {"tests_passed": 5}, "chosen_beats_rejected"),
    Case("near_misses", {"rejected": "a"}, "chosen_beats_rejected"),
    Case("near_misses", {"problem_id": "secret"}, "problem_is_for_training"),
    Case("pass_k_solutions", {"problem_id": "secret"}, "problem_is_for_training"),
    Case("pass_k_solutions", {"verdict": None}, "verdict_agrees_with_tests"),
    Case("pass_k_solutions", {"error": "the sandbox did not answer"}, "verdict_agrees_with_tests"),
    Case("pass_k_solutions", {"tests_passed": 4}, "verdict_agrees_with_tests"),
    Case("pass_k_solutions", {"verdict": "PA"}, "verdict_agrees_with_tests"),
    Case("pass_k_solutions", {"count": 9}, "verdict_agrees_with_tests"),
    Case("pass_k_sft", {"solutions": [SOLVED, FAILED]}, "all_solutions_pass"),
    Case("pass_k_sft", {"solutions": [{"code": "b", "score": None}]}, "all_solutions_pass"),
    Case("pass_k_sft", {"solutions": [{"code": "b", "score": NAN}]}, "all_solutions_pass", also=FIT),
    Case("docstring_sft", {"response": " \n"}, "nothing_is_blank"),
    Case("combined_sft", {"instruction": ""}, "nothing_is_blank"),
    Case("cmake_sft", {"response": "\n"}, "nothing_is_blank"),
    Case("combined_cmake", {"response": "\n"}, "nothing_is_blank"),
    Case("combined_cmake", {"instruction": "build  the SECRET."}, "no_held_out_request"),
    Case("combined_cmake", {"response": SECRET_PROJECT}, "no_held_out_answer"),
    Case(
        "combined_cmake",
        {"response": 'Project( "secret" )  # mine\n\nADD_EXECUTABLE(secret\n  main.cpp)'},
        "no_held_out_answer",
    ),
    Case("preference_pairs", {"rejected_passed": 5, "margin": 0.0}, "chosen_beats_rejected"),
    Case("preference_pairs", {"tests_total": 6, "margin": 1 / 6, "chosen_passes_all": False}, "chosen_beats_rejected"),
    Case("preference_pairs", {"chosen_passed": 6, "margin": 0.4, "chosen_passes_all": False}, "chosen_beats_rejected"),
    Case("preference_pairs", {"margin": 0.4}, "chosen_beats_rejected"),
    Case("preference_pairs", {"chosen_passes_all": False}, "chosen_beats_rejected"),
    Case("preference_pairs", {"chosen_passed": 4, "rejected_passed": 3}, "chosen_beats_rejected"),
    Case("preference_pairs", {"similarity": 0.7}, "chosen_beats_rejected"),
    Case("preference_pairs", {"rejected": "a"}, "chosen_beats_rejected"),
    Case("gspo_prompts", {"reference_solutions": [SOLVED, FAILED]}, "answers_are_told_apart"),
    Case("gspo_prompts", {"negative_samples": [{**SOLVED, "error": "wrong_answer"}]}, "answers_are_told_apart"),
    Case("train_problems", {"split_key": "secret key"}, HELD),
    Case("pass_k_sft", {"problem_id": "secret"}, HELD),
    Case("combined_sft", {"provenance": "secret"}, HELD),
    Case("combined_sft", {"source": "pass_k", "provenance": "secret"}, HELD),
    Case("preference_pairs", {"problem_id": "secret"}, HELD),
    Case("gspo_prompts", {"problem_id": "secret"}, HELD),
    Case("docstring_sft", {"response": "int secret() {\n    return 7;\n}\n"}, "no_held_out_solution"),
    Case("combined_sft", {"response": "int secret() {\n    return 7;\n}\n"}, "no_held_out_solution"),
    Case("docstring_sft", {"row_id": "docstring/near"}, NEAR),
    Case("pass_k_sft", {"problem_id": "near"}, NEAR),
    Case("combined_sft", {"source": "docstring", "row_id": "docstring/near"}, NEAR),
    Case("combined_sft", {"source": "diff", "row_id": "diff/near"}, NEAR),
    Case("combined_sft", {"source": "repair", "provenance": "near"}, NEAR),
    Case("preference_pairs", {"problem_id": "near"}, NEAR),
    Case("gspo_prompts", {"problem_id": "near"}, NEAR),
    Case("train_problems", {"problem_id": "mined/double"}, DOUBLE),
    Case("docstring_sft", {"row_id": "docstring/double"}, DOUBLE),
)


def materialize(bench: Bench, table: str, rows: pl.DataFrame) -> tuple[dict[str, bool], bool]:
    """Store rows, run all checks of the table, and tell which passed and whether what comes after was made."""
    partition = "one" if TABLES[table].partitioned else None
    partitions = repo_dumps if partition else None
    for other, given in OTHERS.items():
        if other != table:
            bench.write(other, frame(other, *(row(other, **values) for values in given.values())))
    came_after: list[str] = []

    @dg.asset(deps=[table], partitions_def=partitions)
    def training() -> None:
        came_after.append(table)

    others = [dg.AssetSpec(name) for name in OTHERS if name != table]
    assets = [*others, bench.as_stored(table, rows, partition), training, *blocking_checks(table)]
    result = bench.run(assets, raise_on_error=False, partition=partition)
    passed = {e.check_name: e.passed for e in result.get_asset_check_evaluations()}
    return passed, bool(came_after)


def rows_of(table: str, *values: Row) -> pl.DataFrame:
    """Good rows with the given changes."""
    return frame(table, *(row(table, n, **{**GOOD.get(table, {}), **v}) for n, v in enumerate(values)))


@pytest.mark.parametrize("table", sorted({case.table for case in CASES}))
def test_good_rows_pass_every_check_and_the_run_goes_on(bench: Bench, table: str) -> None:
    passed, went_on = materialize(bench, table, rows_of(table, {}, {}))
    assert passed == dict.fromkeys(passed, True)
    assert "fits_schema" in passed
    assert went_on


@pytest.mark.parametrize("case", CASES, ids=str)
def test_one_bad_row_is_blocked_by_its_check(bench: Bench, case: Case) -> None:
    passed, went_on = materialize(bench, case.table, rows_of(case.table, {}, case.bad))
    assert not passed[case.check]
    assert {name for name, fine in passed.items() if not fine} == {case.check, case.also} - {""}
    assert not went_on


def test_a_column_of_another_type_is_blocked(bench: Bench) -> None:
    passed, went_on = materialize(bench, "combined_sft", rows_of("combined_sft", {}).with_columns(weight=pl.lit("1")))
    assert "fits_schema" not in passed  # the check itself fails, and names the column
    assert not went_on


@pytest.mark.parametrize(
    "table", ["combined_sft", "combined_cmake", "gspo_prompts", "router_sft", "train_problems", "eval_problems"]
)
def test_an_empty_table_is_blocked(bench: Bench, table: str) -> None:
    passed, went_on = materialize(bench, table, frame(table))
    assert [name for name, fine in passed.items() if not fine] == ["has_rows"]
    assert not went_on


def test_every_check_of_rows_is_tried() -> None:
    tried = {(case.table, case.check) for case in CASES}
    tried |= {(n, "verdict_agrees_with_tests") for n in ("sft_pass_k_solutions",)}  # the same check of another table
    tried |= {("sft_pass_k_solutions", "problem_is_for_training")}
    apart = {"fits_schema", "has_rows", "few_rows_near_held_out"}  # tried for all tables, above, and in test_checks
    known = {(name, key.name) for name in TABLES for c in blocking_checks(name) for key in c.check_keys}
    assert {k for k in known if k[1] not in apart} == {k for k in tried if k[1] not in apart}

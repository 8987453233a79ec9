"""Commits to repairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cpp_pipeline.extract.changes import change_problem
from cpp_pipeline.extract.diffs import diff_pairs
from cpp_pipeline.schemas import TABLES
from cpp_pipeline_tests.extract.rows import commit_file

MESSAGE = "Fix wrong sum of an empty list (#7)"
HELPER = "int helper(int a) { return a + 41; }\n"
BEFORE = (
    "int total(const std::vector<int>& v) {\n  int sum = v[0];\n"
    "  for (size_t i = 1; i < v.size(); ++i) sum += v[i];\n  return sum;\n}\n"
)
AFTER = BEFORE.replace("  int sum", "  if (v.empty()) return 0;\n  int sum")


def run(rows: list[dict[str, Any]], scratch: Path) -> tuple[list[dict[str, Any]], dict[str, str]]:
    kept, bad = diff_pairs(TABLES["commits"].frame(rows), "d", scratch)
    assert TABLES["diff_sft"].violations(TABLES["diff_sft"].conform(kept)) == {}
    TABLES["diff_sft_quarantine"].conform(bad)
    return kept.collect().to_dicts(), dict(bad.select("reason", "detail").collect().iter_rows())


def test_a_repair(tmp_path: Path) -> None:
    kept, bad = run([commit_file(HELPER + BEFORE, HELPER + AFTER, MESSAGE)], tmp_path)
    assert bad == {}
    (row,) = kept
    assert row["before"] == BEFORE.strip()
    assert row["after"] == AFTER.strip()
    assert row["instruction"] == "Fix wrong sum of an empty list in `total`."
    assert (row["function"], row["is_fix"], row["n_changed_tokens"]) == ("total", True, 11)


SLOPPY = AFTER.replace("return 0", "return (1")
REFUSED = {
    "two functions": (HELPER + BEFORE, HELPER.replace("41", "x41") + AFTER, MESSAGE, "not one function"),
    "comment only": (BEFORE, BEFORE.replace("return", "/* c */ return"), MESSAGE, "not one function"),
    "added function": (BEFORE, AFTER + HELPER, MESSAGE, "not one function"),
    "other parameters": (BEFORE, AFTER.replace("<int>", "<long>"), MESSAGE, "not one function"),
    "outside too": ("int g = 1;\n" + BEFORE, "int g = 2;\n" + AFTER, MESSAGE, "residual"),
    "does not parse": (BEFORE, SLOPPY, MESSAGE, "parse_error"),
    "rename": (BEFORE, BEFORE.replace("sum", "total_sum"), MESSAGE, "rename"),
    "literal": (BEFORE, BEFORE.replace("v[0]", "v[1]"), MESSAGE, "literal"),
    "tiny": (BEFORE, BEFORE.replace("i < v", "i <= v"), "Loop over the whole list now", "tiny"),
    "big": (BEFORE, "int total(const std::vector<int>& v) { " + "v.f(); " * 30 + "}", MESSAGE, "big"),
    "vague": (BEFORE, AFTER, "Some minor fix of the sum", "vague"),
    "multi": (BEFORE, AFTER, "Fix the empty list and remove the loop", "multi"),
    "binary": (BEFORE, "\0" + AFTER, MESSAGE, "not one function"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, tmp_path: Path) -> None:
    before, after, message, reason = REFUSED[name]
    kept, bad = run([commit_file(before, after, message)], tmp_path)
    assert kept == []
    assert bad.keys() == {reason}
    assert "r:" in bad[reason]


def test_one_token_is_enough_for_a_fix(tmp_path: Path) -> None:
    kept, _ = run([commit_file(BEFORE, BEFORE.replace("i < v", "i <= v"), MESSAGE)], tmp_path)
    assert len(kept) == 1


def test_a_function_marked_by_a_macro_of_the_repository(tmp_path: Path) -> None:
    define = "#define API inline\n"
    kept, _ = run([commit_file(define + "API " + BEFORE, define + "API " + AFTER, MESSAGE)], tmp_path)
    assert len(kept) == 1


def test_another_file_of_the_commit_must_not_change(tmp_path: Path) -> None:
    one = commit_file(BEFORE, AFTER, MESSAGE, commit="c1", n_files=2)
    comment = commit_file("int x;", "int x; // why", MESSAGE, commit="c1", n_files=2, path="src/b.h")
    assert len(run([one, comment], tmp_path / "a")[0]) == 1
    value = comment | {"after": "int y;"}
    assert run([one, value], tmp_path / "b")[1].keys() == {"residual"}
    assert run([one], tmp_path / "c")[1].keys() == {"residual"}, "a file of the commit is not there"


@pytest.mark.parametrize(("days", "n_kept"), [(13, 1), (15, 2)])
def test_superseded(days: int, n_kept: int, tmp_path: Path) -> None:
    later = AFTER.replace("return sum", "return sum + sum")
    rows = [
        commit_file(AFTER, later, "Fix the result of the sum", time=1_000_000 + days * 86_400),
        commit_file(BEFORE, AFTER, MESSAGE),
    ]
    kept, bad = run(rows, tmp_path)
    assert len(kept) == n_kept
    assert kept[0]["instruction"].startswith("Fix the result")
    assert ("superseded" in bad) == (n_kept == 1)


def test_empty(tmp_path: Path) -> None:
    assert run([], tmp_path) == ([], {})


def test_swapped_names_are_no_rename() -> None:
    before = "int f(int a, int b) { g(); h(); return a - b; }"
    assert change_problem(before, before.replace("a - b", "b - a"), "Fix it") is None
    assert change_problem(before, before + " // c", "Fix it") == ("no change", "the tokens are equal")


def test_reading_order_gives_the_frame_type(tmp_path: Path) -> None:
    kept, _ = diff_pairs(TABLES["commits"].empty(), "d", tmp_path)
    assert isinstance(kept, pl.LazyFrame)

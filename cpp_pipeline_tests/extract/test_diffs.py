"""Commits and records to repairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cpp_pipeline.extract.diffs import diff_pairs
from cpp_pipeline.extract.released import CANDIDATES, RULES
from cpp_pipeline.schemas import TABLES
from cpp_pipeline_tests.extract.rows import commit_file

MESSAGE = "Fix wrong sum of an empty list (#7)"
HELPER = "int helper(int a) { return a + 41; }\n"
BEFORE = (
    "int total(const std::vector<int>& v) {\n  int sum = v[0];\n"
    "  for (size_t i = 1; i < v.size(); ++i) sum += v[i];\n  return sum;\n}\n"
)
AFTER = BEFORE.replace("  int sum", "  if (v.empty()) return 0;\n  int sum")


def run(
    rows: list[dict[str, Any]], scratch: Path, records: tuple[dict[str, Any], ...] = ()
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    repairs = TABLES["repairs"].frame(list(records))
    kept, bad = diff_pairs(TABLES["commits"].frame(rows), repairs, "d", scratch)
    released = TABLES["diff_sft"]
    # Redaction, a later step, adds the other two columns.
    later = kept.with_columns(n_redacted=pl.lit(0, pl.Int64), edits=pl.lit([], released.schema["edits"]))
    assert released.violations(released.conform(later)) == {}
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
    assert (row["origin"], row["message"], row["has_residue"], row["is_big"]) == ("commit", MESSAGE, False, False)


SLOPPY = AFTER.replace("return 0", "return (1")
REFUSED = {
    "two functions": (HELPER + BEFORE, HELPER.replace("41", "x41") + AFTER, MESSAGE, "not one function"),
    "comment only": (BEFORE, BEFORE.replace("return", "/* c */ return"), MESSAGE, "comments only"),
    "no function": ("int g = 1;\n" + BEFORE, "int g = 2;\n" + BEFORE, MESSAGE, "not one function"),
    "added function": (BEFORE, AFTER + HELPER, MESSAGE, "not one function"),
    "other parameters": (BEFORE, AFTER.replace("<int>", "<long>"), MESSAGE, "not one function"),
    "outside too": ("int g = 1;\n" + BEFORE, "int g = 2;\n" + AFTER, MESSAGE, "residual"),
    "does not parse": (BEFORE, SLOPPY, MESSAGE, "parse_error"),
    "rename": (BEFORE, BEFORE.replace("sum", "total_sum"), MESSAGE, "rename"),
    "literal": (BEFORE, BEFORE.replace("v[0]", "v[1]"), MESSAGE, "literal"),
    "specifier": (BEFORE, "static inline " + BEFORE, MESSAGE, "specifier"),
    "tiny": (BEFORE, BEFORE.replace("i < v", "i <= v"), "Loop over the whole list now", "tiny"),
    "no defect": (BEFORE, AFTER, "Return early for an empty list", "not a fix"),
    "big": (BEFORE, "int total(const std::vector<int>& v) { " + "v.f(); " * 30 + "}", MESSAGE, "big"),
    "vague": (BEFORE, AFTER, "Some minor fix of the sum", "vague"),
    "multi": (BEFORE, AFTER, "Fix the empty list and remove the loop", "multi"),
    "short": (BEFORE, AFTER, "Fix it", "message"),
    "binary": (BEFORE, "\0" + AFTER, MESSAGE, "unread"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, tmp_path: Path) -> None:
    before, after, message, reason = REFUSED[name]
    kept, bad = run([commit_file(before, after, message)], tmp_path)
    assert kept == []
    assert bad.keys() == {reason}
    assert "r:" in bad[reason]


def test_the_first_rule_names_the_reason(tmp_path: Path) -> None:
    _, bad = run([commit_file(BEFORE, AFTER, "Some minor fix; also more", path="bench/a.cpp")], tmp_path)
    assert bad.keys() == {"path"}
    assert list(RULES).index("path") < list(RULES).index("vague") < list(RULES).index("multi")


def test_one_token_is_enough_for_a_fix(tmp_path: Path) -> None:
    kept, _ = run([commit_file(BEFORE, BEFORE.replace("i < v", "i <= v"), MESSAGE)], tmp_path)
    assert [row["is_tiny"] for row in kept] == [True]


def test_a_function_marked_by_a_macro_of_the_repository(tmp_path: Path) -> None:
    define = "#define API inline\n"
    kept, _ = run([commit_file(define + "API " + BEFORE, define + "API " + AFTER, MESSAGE)], tmp_path)
    assert len(kept) == 1


def test_another_file_of_the_commit_must_not_change(tmp_path: Path) -> None:
    one = commit_file(BEFORE, AFTER, MESSAGE, commit="c1", n_files=2)
    comment = commit_file("int x;", "int x; // why", MESSAGE, commit="c1", n_files=2, path="src/b.h")
    assert len(run([one, comment], tmp_path / "a")[0]) == 1
    assert [row["path"] for row in run([comment, one], tmp_path / "b")[0]] == ["src/a.cpp"]
    value = comment | {"after": "int y;"}
    assert run([one, value], tmp_path / "c")[1].keys() == {"residual"}
    assert run([one], tmp_path / "d")[1].keys() == {"residual"}, "a file of the commit is not there"


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


@pytest.mark.parametrize(
    ("later", "superseded"),
    [
        (AFTER.replace("return sum", "return sum + sum") + HELPER, True),  # whatever else that commit did
        (AFTER.replace("  return sum", "  // the result\n  return sum"), False),
        (AFTER + HELPER, False),
    ],
)
def test_what_supersedes_is_a_change_of_the_function_by_any_commit(
    later: str, superseded: bool, tmp_path: Path
) -> None:
    rows = [commit_file(AFTER, later, "wip", time=1_000_100), commit_file(BEFORE, AFTER, MESSAGE)]
    assert ("superseded" in run(rows, tmp_path)[1]) == superseded


def record(**changes: Any) -> dict[str, Any]:
    row = {
        "dump": "d",
        "place": "diff.jsonl:3",
        "title": "Minor cleanup",
        "body": "It was slow.",
        "licence": "MIT",
        "before": BEFORE,
        "after": AFTER,
    }
    return row | changes


def test_records_are_judged_by_their_change_only(tmp_path: Path) -> None:
    whole = record(place="diff.jsonl:4", before=HELPER + BEFORE + "int g = 1;", after=HELPER + AFTER + "int g = 2;")
    kept, bad = run([], tmp_path, (record(), whole, record(place="diff.jsonl:5", after=BEFORE + "// same")))
    assert [(row["commit"], row["path"], row["origin"]) for row in kept] == [
        ("diff.jsonl:3", "diff.jsonl", "record"),
        ("diff.jsonl:4", "diff.jsonl", "record"),
    ]
    first, second = kept
    assert (first["message"], first["instruction"]) == ("Minor cleanup\n\nIt was slow.", "Minor cleanup in `total`.")
    assert (first["before"], first["after"]) == (BEFORE.strip(), AFTER.strip())
    assert (second["before"], second["has_residue"], second["is_vague"]) == (BEFORE.strip(), True, True)
    assert bad.keys() == {"comments only"}
    assert "diff.jsonl:5" in bad["comments only"]


def test_empty(tmp_path: Path) -> None:
    assert run([], tmp_path) == ([], {})


def test_every_rule_asks_columns_of_candidates() -> None:
    asked = {name for rule in RULES.values() for e in (rule.when, rule.seen) for name in e.meta.root_names()}
    assert asked <= set(CANDIDATES.schema)

"""Leaks of held-out problems are found, each by its rule; other rows are not."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import pytest

from cpp_pipeline.curate.decontaminate import hits, training_texts
from cpp_pipeline.curate.tokens import tokens
from cpp_pipeline.schemas import TABLES
from cpp_pipeline_tests.extract.rows import clean_file, problem
from cpp_pipeline_tests.public_data import public_data

SOLUTION = """int longest_run(const std::vector<int>& values) {
  int best = 0, current = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0 && values[i] == values[i - 1]) { ++current; } else { current = 1; }
    if (current > best) best = current;
  }
  return best;
}"""
DOC = "Return the length of the longest run of equal neighbours in the list; zero for an empty list."
SHORT = "int cube_of(int x) { return x * x * x; }"
TESTS = "assert(longest_run({1, 1, 2, 2, 2, 3, 4, 4}) == 3); assert(true);"
HELD_OUT = [problem("run", SOLUTION, doc=DOC, test_code=TESTS), problem("cube", SHORT, entry_point="cube_of")]


def find(text: str, split_key: str | None = None, held_out: list[dict[str, Any]] | None = None) -> dict[str, set[str]]:
    training = pl.LazyFrame(
        [
            {"table": "docstring_pairs", "row_id": "1", "text": text, "split_key": split_key},
            {"table": "docstring_pairs", "row_id": "2", "text": "", "split_key": None},
        ],
        schema={"table": pl.String, "row_id": pl.String, "text": pl.String, "split_key": pl.String},
    )
    report = hits(training, TABLES["eval_problems"].frame(HELD_OUT if held_out is None else held_out))
    assert TABLES["decontamination_report"].violations(report) == {}
    found: dict[str, set[str]] = {}
    for row in report.collect().iter_rows(named=True):
        assert row["matched"]
        found.setdefault(row["problem_id"], set()).add(row["rule"])
    return found


def rename(code: str) -> str:
    for old, new in {
        "longest_run": "f",
        "values": "input",
        "best": "m",
        "current": "now",
        " i ": " k ",
        "[i": "[k",
        "++i": "++k",
    }.items():
        code = code.replace(old, new)
    return code


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        (SOLUTION, {"verbatim", "tokens", "doc"}),
        ("int unrelated() { return 4; }\n" + SOLUTION.replace("\n", " // c\n   "), {"verbatim", "tokens"}),
        (rename(SOLUTION), {"tokens"}),
        ("/// " + DOC + "\nint g() { return 1; }", {"doc"}),
        ("assert(longest_run({1, 1, 2, 2, 2, 3, 4, 4}) == 3);", {"verbatim"}),
        ("Return the length of the longest list", set()),
        ("int few[] = {1, 1, 2, 2, 2, 3, 4, 4, 5, 6, 7, 8, 9, 10};", set()),
        (
            "int t(const std::vector<int>& v) { int s = 0; for (size_t i = 0; i < v.size(); ++i) s += v[i]; return s;}",
            set(),
        ),
        ("", set()),
    ],
)
def test_rules(text: str, rules: set[str]) -> None:
    found = find(text).get("run", set())
    assert found >= rules
    assert bool(found) == bool(rules)


def test_a_short_solution_counts_as_a_whole() -> None:
    assert find("long third_power(long n) { return n * n * n; }") == {}
    assert find("int p(int n) { return n * n * n; }") == {"cube": {"tokens"}}
    assert find("int p(int n) { return n * n + n; }") == {}


def test_split_key() -> None:
    assert find("anything", split_key="run") == {"run": {"split_key"}}
    assert find("anything", split_key="other") == {}


def test_family_rows_are_compared_by_key_and_identity_only() -> None:
    held_out = [problem("fam", SOLUTION, source="family", split_key="a+b", doc=DOC)]
    sibling = SOLUTION.replace("best = current", "best = current + 1")
    assert find(sibling, "a+c", held_out) == {}
    assert find(sibling, "a+b", held_out) == {"fam": {"split_key"}}
    assert find("// x\n" + SOLUTION, "a+c", held_out) == {"fam": {"verbatim"}}
    assert "verbatim" in find(sibling, None, held_out)["fam"], "code from elsewhere has no such excuse"


def test_other_held_out_problems_are_compared_in_full_with_problem_rows() -> None:
    assert find(SOLUTION, "mine") == {"run": {"verbatim", "tokens", "doc"}}


def test_the_ngrams_of_a_solution_spread_over_a_file_are_no_copy_of_it() -> None:
    parts = tokens(rename(SOLUTION))
    pieces = (" ".join(parts[at : at + 14]) for at in range(0, len(parts), 5))
    spread = "".join(f"{piece}\nint other_{n}[] = {{{'f(1), ' * 60}}};\n" for n, piece in enumerate(pieces))
    assert find(spread) == {}
    assert find(f"{spread}{rename(SOLUTION)}\n{spread}") == {"run": {"tokens"}}


def test_the_numbers_of_a_test_and_an_index_loop_are_in_many_texts() -> None:
    tests = (
        "assert(longest_run({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}) == 1); for (i = 0; i < a.size(); ++i) a[i] = i;"
    )
    held_out = [problem("run", SOLUTION, test_code=tests)]
    assert find("int list[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};", None, held_out) == {}
    assert find("for (i = 0; i < a.size(); ++i) print(i + 1);", None, held_out) == {}
    assert find(tests, None, held_out) == {"run": {"verbatim"}}


def test_no_problems() -> None:
    assert find(SOLUTION, None, []) == {}


def test_a_missing_column_is_named() -> None:
    with pytest.raises(ValueError, match="split_key"):
        hits(pl.LazyFrame({"table": [], "row_id": [], "text": []}), TABLES["eval_problems"].empty())


def test_training_texts() -> None:
    problems = TABLES["train_problems"].frame([problem("p", SOLUTION, doc="A doc.", split_key="k")])
    others = [TABLES[name].empty() for name in ("clean_files", "docstring_pairs", "diff_sft")]
    frame = training_texts(*others, problems).collect()
    assert frame.columns == ["table", "row_id", "text", "split_key"]
    (row,) = frame.to_dicts()
    assert (row["table"], row["row_id"], row["split_key"]) == ("train_problems", "p", "k")
    assert "A doc." in row["text"]
    assert SOLUTION in row["text"]
    assert "Write it." not in row["text"]


def test_a_file_of_a_dump_is_named_as_the_corpus_names_it() -> None:
    filler = "".join(f"double part_{n}(double a) {{ return a / {n} + {n}.5; }}\n" for n in range(2000))
    files = TABLES["clean_files"].frame(
        [clean_file("a.cpp", content=filler), clean_file("b.cpp", content=filler + rename(SOLUTION) + filler)]
    )
    empty = [TABLES[name].empty() for name in ("docstring_pairs", "diff_sft", "train_problems")]
    report = hits(training_texts(files, *empty), TABLES["eval_problems"].frame(HELD_OUT)).collect()
    found = report.select("table", "row_id", "problem_id", "rule").rows()
    assert found == [("clean_files", "d/r/b.cpp", "run", "tokens")]


def test_every_verbatim_leak_of_a_real_benchmark_is_found() -> None:
    records = [json.loads(line) for line in public_data("humaneval_cpp.jsonl").read_text().splitlines()]
    held_out = [
        problem(str(i), r["declaration"] + r["canonical_solution"], test_code=r["test"], split_key=f"k{i}")
        for i, r in enumerate(records)
    ]
    leaks = pl.LazyFrame(
        {
            "table": "t",
            "row_id": [p["problem_id"] for p in held_out],
            "text": [p["reference"].replace("    ", "\t") for p in held_out],
            "split_key": pl.Series([None] * len(held_out), dtype=pl.String),
        }
    )
    report = hits(leaks, TABLES["eval_problems"].frame(held_out)).collect()
    caught = report.filter(pl.col("row_id") == pl.col("problem_id"))["row_id"].n_unique()
    assert caught >= 0.99 * len(held_out)

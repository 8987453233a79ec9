"""Column lineage against the functions: an input column is altered, and what changes has to name it as a source.

One row of each input goes through the function that makes the table, so that nothing is chosen among rows; an
alteration after which there are more or fewer rows says nothing about columns.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cpp_pipeline.agent.problems import agent_problems
from cpp_pipeline.corpus import sft
from cpp_pipeline.corpus.cmake import combined_cmake
from cpp_pipeline.curate.files import clean
from cpp_pipeline.curate.repairs import redacted_repairs
from cpp_pipeline.curate.signatures import function_signatures
from cpp_pipeline.defs.resources import PRESET
from cpp_pipeline.extract.cmake_facts import packages
from cpp_pipeline.extract.diffs import diff_pairs
from cpp_pipeline.extract.pairs import docstring_pairs
from cpp_pipeline.rollouts import preference, prompts
from cpp_pipeline.schemas import TABLES, Column
from cpp_pipeline.schemas.lineage import origins
from cpp_pipeline_tests.defs.support import frame, row
from cpp_pipeline_tests.defs.test_corpus import diff, pair, problem
from cpp_pipeline_tests.defs.test_pairs import AREA, LISTS, files
from cpp_pipeline_tests.defs.test_rollouts import solution

Frames = dict[str, pl.DataFrame]
Make = Callable[[Mapping[str, pl.LazyFrame], Path], Mapping[str, pl.LazyFrame]]
TESTS = json.dumps([{"args": [n], "expected": n} for n in range(6)])
OTHER_TESTS = json.dumps([{"args": [n], "expected": n + 1} for n in range(6)])
FAILING = json.dumps({"args": [1], "expected": 2, "actual": 3})
JOINS = {
    "gspo_prompts": [
        ("train_problems", "problem_id"),
        ("sft_pass_k_solutions", "problem_id"),
        ("sft_pass_k_solutions", "error"),
    ]
}
"""Columns that join or choose what is gathered in one row, and are no source of it."""


def solved(table: str) -> dict[str, Any]:
    return row(table, 1, problem_id="problem_id 1", verdict="AC", score=1.0, tests_passed=5, tests_total=5)


def supervised(f: Mapping[str, pl.LazyFrame], _: Path) -> Mapping[str, pl.LazyFrame]:
    names = ("docstring_sft", "pass_k_sft", "diff_sft", "repair_rows", "train_problems")
    made = sft.combined_sft(*(f[n] for n in names), frozenset(), PRESET, 0)
    return dict(zip(("combined_sft", "combined_sft_quarantine"), made, strict=True))


def repairs_of(f: Mapping[str, pl.LazyFrame], scratch: Path) -> Mapping[str, pl.LazyFrame]:
    made = redacted_repairs(*diff_pairs(f["commits"], f["repairs"], "one", scratch), scratch)
    return dict(zip(("diff_sft", "diff_sft_quarantine"), made, strict=True))


def kept(f: Mapping[str, pl.LazyFrame], _: Path) -> Mapping[str, pl.LazyFrame]:
    return dict(zip(("clean_files", "dropped_files"), clean(f["source_files"]), strict=True))


AFTER = AREA.replace("width * height", "width * height * 1 + 0")
CODE = {"signature": "int solve(int x)", "reference": "int solve(int x) {\n    return 2 * x;\n}\n"}
CASES: Mapping[str, tuple[Make, Frames]] = {
    "files": (
        kept,
        {"source_files": frame("source_files", row("source_files", licence="MIT", language="cpp", content=AREA))},
    ),
    "dropped files": (kept, {"source_files": frame("source_files", row("source_files", content=AREA, licence="GPL"))}),
    "pairs": (
        lambda f, scratch: {"docstring_pairs": docstring_pairs(f["clean_files"], "one", scratch, workers=0)[0]},
        {"clean_files": files("one", {"area.cpp": AREA})},
    ),
    "packages": (
        lambda f, _: {"cmake_packages": packages(f["clean_files"])},
        {"clean_files": files("one", {"CMakeLists.txt": LISTS.format(package="Pencil")})},
    ),
    "repairs": (
        repairs_of,
        {
            "commits": frame(
                "commits", row("commits", path="a.cpp", message="Fix wrong area", before=AREA, after=AFTER, n_files=1)
            ),
            "repairs": frame("repairs", row("repairs", place="b.jsonl:7", title="Fix it", before=AFTER, after=AREA)),
        },
    ),
    "signatures": (
        lambda f, _: {"function_signatures": function_signatures(f["docstring_pairs"])},
        {"docstring_pairs": frame("docstring_pairs", pair("one", 1, token_sha256="ab" * 32))},
    ),
    "documented functions": (
        lambda f, _: {"docstring_sft": sft.docstring_sft(f["docstring_pairs"], frozenset(), PRESET, 0)},
        {"docstring_pairs": frame("docstring_pairs", pair("one", 1))},
    ),
    "cmake rows": (
        lambda f, _: {"combined_cmake": combined_cmake(f["cmake_sft"], f["cmake_problems"])},
        {
            "cmake_sft": frame("cmake_sft", row("cmake_sft", configure_ok=True)),
            "cmake_problems": frame(
                "cmake_problems", row("cmake_problems", split="train", instruction="Build it.", configure_ok=True)
            ),
        },
    ),
    "solutions": (
        lambda f, _: {"pass_k_sft": sft.pass_k_sft(f["pass_k_solutions"], f["train_problems"])},
        {
            "pass_k_solutions": frame("pass_k_solutions", solved("pass_k_solutions")),
            "train_problems": frame("train_problems", problem(1)),
        },
    ),
    "supervised rows": (
        supervised,
        {
            "docstring_sft": frame("docstring_sft", row("docstring_sft")),
            "pass_k_sft": frame(
                "pass_k_sft",
                row("pass_k_sft", problem_id="problem_id 1", solutions=[{"code": "int f(int y);", "score": 1.0}]),
            ),
            "diff_sft": frame("diff_sft", diff("one", 1)),
            "repair_rows": frame("repair_rows", row("repair_rows", problem_id="problem_id 1", failing_test=FAILING)),
            "train_problems": frame("train_problems", problem(1)),
        },
    ),
    "preferences": (
        lambda f, _: {"preference_pairs": preference.pairs(f["sft_pass_k_solutions"], f["train_problems"])},
        {
            "sft_pass_k_solutions": frame("sft_pass_k_solutions", solution(1, 5), solution(2, 3)),
            "train_problems": frame("train_problems", problem(1)),
        },
    ),
    "prompts": (
        lambda f, _: {"gspo_prompts": prompts.gspo_prompts(f["train_problems"], f["sft_pass_k_solutions"])},
        {
            "sft_pass_k_solutions": frame("sft_pass_k_solutions", solution(1, 5), solution(2, 3)),
            "train_problems": frame("train_problems", problem(1)),
        },
    ),
    "tasks": (
        lambda f, _: {"agent_problems": agent_problems(f["eval_problems"], f["cmake_problems"], 8, 0)},
        {
            "eval_problems": frame(
                "eval_problems", *(row("eval_problems", n, n_tests=6, tests=TESTS, **CODE) for n in (0, 1))
            ),
            "cmake_problems": frame("cmake_problems", row("cmake_problems", split="eval", configure_ok=True)),
        },
    ),
}


def altered(column: Column, value: Any) -> Any:
    """Another value that the column may hold."""
    if column.name in ("tests", "failing_test"):
        return OTHER_TESTS if column.name == "tests" else FAILING.replace("3", "4")
    if column.isin:
        return next(v for v in column.isin if v != value)
    if column.name == "licence":
        return "Apache-2.0"
    if column.dtype == pl.String:
        return f"{value} changed" if value is None or "\n" not in value else f"{value}int added;\n"
    if column.dtype == pl.Boolean:
        return not value
    if column.dtype == pl.List(pl.String()):
        return [*value, "int changed(int x) { return x; }"]
    if column.dtype.is_nested():
        return [{name: f"{v} changed" if isinstance(v, str) else v for name, v in item.items()} for item in value]
    return 0.25 if column.dtype == pl.Float64 else b"" if value is None or isinstance(value, bytes) else value + 1


def values(frame: pl.DataFrame, column: str) -> list[str]:
    """The values of a column whatever their order."""
    return sorted(map(repr, frame[column].to_list()))


def made_of(make: Make, inputs: Frames, scratch: Path) -> Frames | None:
    """The tables; None when the function refuses the inputs."""
    scratch.mkdir()
    try:
        return {n: f.collect() for n, f in make({n: f.lazy() for n, f in inputs.items()}, scratch).items()}
    except (ValueError, KeyError):
        return None


@pytest.mark.parametrize("case", CASES)
def test_what_changes_with_a_column_names_it_as_a_source(case: str, tmp_path: Path) -> None:
    make, inputs = CASES[case]
    before = made_of(make, inputs, tmp_path / "before")
    assert before is not None
    assert any(f.height for f in before.values())
    seen, wrong = 0, []
    for source, rows in inputs.items():
        for column in TABLES[source].columns:
            changed = [{**r, column.name: altered(column, r[column.name])} for r in rows.to_dicts()]
            after = made_of(make, {**inputs, source: frame(source, *changed)}, tmp_path / f"{source}.{column.name}")
            for name, table in (after or {}).items():
                if table.height != before[name].height:
                    continue
                for made, origin in origins(TABLES[name]).items():
                    if values(table, made) != values(before[name], made):
                        seen += 1
                        if (source, column.name) not in (*origin.columns, *JOINS.get(name, ())):
                            wrong.append(f"{name}.{made} changes with {source}.{column.name}")
    assert wrong == [], "\n".join(wrong)
    assert seen >= 3, "the alterations change too little to say anything"

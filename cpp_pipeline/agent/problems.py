"""End-to-end tasks for the agent, each with the means to judge its answer.

Belongs here: requests, attachments and expectations. Does not belong here: running them (`evaluate`).

| tool | the user gives | judged by |
|---|---|---|
| generate_code | instruction, prototype, the first tests | the remaining tests, which the agent never sees |
| generate_cmake | instruction, sources | the targets that have to exist |
| execute_code | a reference (right, broken, or with one wrong expectation) and tests | the verdict |
| analyze_code | code with one known defect | a finding on its line |
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import polars as pl

from cpp_pipeline.agent.inputs import is_prototype
from cpp_pipeline.agent.tools import (
    ANALYZE_CODE,
    CODE,
    EXECUTE_CODE,
    FILES,
    GENERATE_CMAKE,
    GENERATE_CODE,
    SIGNATURE,
    TESTS,
)
from cpp_pipeline.problems.tests import loads_tests
from cpp_pipeline.schemas import TABLES

VISIBLE_TESTS = 3
MIN_TESTS = 5

_EXECUTE = (
    "Would you run $tests on $code?",
    "I wonder whether $code passes $tests.",
    "Kindly execute $code and check $tests.",
)
_DEFECTS: tuple[tuple[str, str, int], ...] = (
    ("bugs", "int first(const int* v, int n) {\n    int r;\n    if (n > 0) n = v[0];\n    return r;\n}\n", 4),
    ("bugs", "int sign(int x) {\n    if (x > 0) {\n        return 1;\n    }\n}\n", 5),
    (
        "bugs",
        "int total(const std::vector<int>& v) {\n    int r = 0;\n    for (int x : v) r += y;\n    return r;\n}\n",
        3,
    ),
    (
        "performance",
        "int total(std::vector<int> v) {\n    int r = 0;\n    for (int x : v) r += x;\n    return r;\n}\n",
        1,
    ),
    (
        "performance",
        "void show(const std::vector<int>& v) {\n    for (int x : v)\n        std::cout << x << std::endl;\n}\n",
        3,
    ),
    (
        "style",
        "int* find(int* v, int n, int x) {\n    for (int i = 0; i < n; ++i)\n        if (v[i] == x) return v + i;\n"
        "    return NULL;\n}\n",
        4,
    ),
    ("style", "int half(double x) {\n    double y = x / 2;\n    return (int) y;\n}\n", 3),
)
"""Kind of analysis, code, line of the defect (from 1)."""
_ANALYZE = {
    "bugs": ("Search $code for errors.", "What mistakes does $code have?", "Does $code suffer from bugs?"),
    "performance": ("Search $code for needless copies.", "Does $code suffer from slow spots?"),
    "style": ("Search $code for style problems.", "What style issues does $code have?"),
}
"""Like `_EXECUTE`, in phrasings that the router has not been trained on."""

Row = dict[str, Any]


def agent_problems(eval_problems: pl.LazyFrame, cmake_problems: pl.LazyFrame, n: int, seed: int) -> pl.LazyFrame:
    """At most `n` rows of the table `agent_problems`, in turn over the four tools.

    Parameters
    ----------
    eval_problems, cmake_problems
        Tables of these names; of the second only the split "eval" is used.

    Returns
    -------
    LazyFrame
        Fewer than `n` rows only when a tool has no problem left to draw on.
    """
    rng = random.Random(f"agent problems {seed}")
    code = _code_problems(eval_problems, rng)
    projects = _projects(cmake_problems, rng)
    makers: list[Callable[[int], Row | None]] = [
        lambda i: _generate(code[i]) if i < len(code) else None,
        lambda i: _cmake(projects[i]) if i < len(projects) else None,
        # From the other end, so that a function to write is not also shown as code to run.
        lambda i: _execute(code[-1 - i], i) if i < len(code) else None,
        _analyze,
    ]
    drawn = (makers[i % 4](i // 4) for i in range(n))
    return TABLES["agent_problems"].frame([row for row in drawn if row is not None])


def _code_problems(frame: pl.LazyFrame, rng: random.Random) -> list[Row]:
    usable = frame.filter((pl.col("n_tests") >= MIN_TESTS) & (pl.col("reference") != "")).sort("problem_id")
    columns = ("problem_id", "instruction", "signature", "preamble", "tests", "reference")
    rows = [r for r in usable.select(columns).collect().to_dicts() if is_prototype(r["signature"])]
    rng.shuffle(rows)
    return rows


def _projects(frame: pl.LazyFrame, rng: random.Random) -> list[Row]:
    usable = frame.filter((pl.col("split") == "eval") & pl.col("configure_ok")).sort("problem_id")
    rows = usable.select("problem_id", "instruction", "files", "targets").collect().to_dicts()
    rng.shuffle(rows)
    return rows


def _row(name: str, tool: str, request: str, attachments: Row, **judged: Any) -> Row:
    return {
        "problem_id": f"agent/{tool}/{name}",
        "tool": tool,
        "request": request,
        "attachments": json.dumps(attachments, sort_keys=True),
        "signature": judged.get("signature", ""),
        "tests": json.dumps(judged.get("tests", [])),
        "expected": json.dumps(judged["expected"], sort_keys=True),
    }


def _generate(p: Row) -> Row:
    tests = loads_tests(p["tests"])
    shown, hidden = tests[:VISIBLE_TESTS], tests[VISIBLE_TESTS:]
    attachments = {SIGNATURE: p["signature"], TESTS: json.dumps(shown)}
    return _row(
        p["problem_id"],
        GENERATE_CODE,
        p["instruction"],
        attachments,
        signature=p["signature"],
        tests=hidden,
        expected={"verdict": "AC"},
    )


def _cmake(p: Row) -> Row:
    attachments = {FILES: json.dumps(p["files"])}
    return _row(
        p["problem_id"],
        GENERATE_CMAKE,
        p["instruction"],
        attachments,
        expected={"targets": p["targets"]},
    )


def _execute(p: Row, i: int) -> Row:
    tests = loads_tests(p["tests"])[:MIN_TESTS]
    code, verdict = p["preamble"] + p["reference"], "AC"
    if i % 3 == 1 and (other := _wrong_expectation(tests)):
        tests, verdict = other, "PA"
    elif i % 3 == 2:
        code, verdict = code[: code.rindex("}")], "CE"
    attachments = {CODE: code, TESTS: json.dumps(tests), SIGNATURE: p["signature"]}
    return _row(
        p["problem_id"],
        EXECUTE_CODE,
        _EXECUTE[i % len(_EXECUTE)],
        attachments,
        signature=p["signature"],
        tests=tests,
        expected={"verdict": verdict},
    )


def _wrong_expectation(tests: list[Row]) -> list[Row] | None:
    """The tests with the first expectation replaced by another test's; None when all are equal."""
    first = tests[0]["expected"]
    other = next((t["expected"] for t in tests if t["expected"] != first), None)
    return None if other is None else [{**tests[0], "expected": other}, *tests[1:]]


def _analyze(i: int) -> Row | None:
    if i >= len(_DEFECTS) * max(map(len, _ANALYZE.values())):
        return None
    kind, code, line = _DEFECTS[i % len(_DEFECTS)]
    choices = _ANALYZE[kind]
    request = choices[i // len(_DEFECTS) % len(choices)]
    attachments = {CODE: code}
    expected = {"analysis_type": kind, "line": line}
    return _row(f"{kind}-{i:03d}", ANALYZE_CODE, request, attachments, expected=expected)

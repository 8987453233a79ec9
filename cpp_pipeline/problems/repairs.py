"""Defective neighbours of right solutions: rows for repair and for preference.

Belongs here: mutants of references, judged, as rows of `repair_rows` and `near_misses`.
Does not belong here: which edits there are (`mutants`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import polars as pl

from cpp_pipeline.problems.judging import MUTANT_TIMEOUT_SECONDS, job, judge
from cpp_pipeline.problems.mutants import Mutant, mutants
from cpp_pipeline.problems.rows import Row, short_hash
from cpp_pipeline.problems.tests import loads_tests
from cpp_pipeline.sandbox.types import Result
from cpp_pipeline.schemas import TABLES

if TYPE_CHECKING:
    from cpp_pipeline.sandbox.client import SandboxClient

MUTANTS_PER_PROBLEM = 5
NEAR_OPERATORS = frozenset(
    ("relational_boundary", "loop_bound", "constant_plus", "constant_minus", "increment", "assignment")
)
"""operators whose mutants most often fail only a few tests"""
MAX_FAILED_SHARE = 5
"""a near miss fails at most one test in this many"""


def repair_rows(problems: pl.LazyFrame, client: SandboxClient, limit: int, seed: int) -> pl.LazyFrame:
    """Mutants that compile and fail a test, with that test and the reference.

    Parameters
    ----------
    problems
        Rows of `train_problems` whose references were verified.
    limit
        Most problems to take, chosen by the hash of their name and `seed`.

    Raises
    ------
    SandboxTrouble
        When the sandbox could not judge.
    """
    rows: list[Row] = []
    for problem, mutant, result in _judged(problems, client, limit, seed, None):
        failing = next((t for t in result.tests if t.verdict != "AC"), None)
        if failing is None:
            continue
        test = {
            **loads_tests(problem["tests"])[failing.index],
            "actual": failing.actual,
            "verdict": failing.verdict,
        }
        rows.append(
            {
                "row_id": f"repair/{short_hash(problem['problem_id'], mutant.code)}",
                "problem_id": problem["problem_id"],
                "operator": mutant.operator,
                "before": mutant.code,
                "failing_test": json.dumps(test, ensure_ascii=False, separators=(",", ":")),
                "after": problem["reference"],
                "tests_passed": result.tests_passed,
                "tests_total": result.tests_total,
            }
        )
    return TABLES["repair_rows"].frame(rows)


def near_misses(problems: pl.LazyFrame, client: SandboxClient, limit: int, seed: int) -> pl.LazyFrame:
    """References beside mutants that fail at least one test and at most a fifth; arguments as `repair_rows`."""
    rows: list[Row] = []
    for problem, mutant, result in _judged(problems, client, limit, seed, NEAR_OPERATORS):
        failed = result.tests_total - (result.tests_passed or 0)
        if not 0 < failed * MAX_FAILED_SHARE <= result.tests_total:
            continue
        rows.append(
            {
                "row_id": f"near/{short_hash(problem['problem_id'], mutant.code)}",
                "problem_id": problem["problem_id"],
                "chosen": problem["reference"],
                "rejected": mutant.code,
                "tests_passed": result.tests_passed,
                "tests_total": result.tests_total,
            }
        )
    return TABLES["near_misses"].frame(rows)


def _judged(
    problems: pl.LazyFrame, client: SandboxClient, limit: int, seed: int, operators: frozenset[str] | None
) -> Iterator[tuple[Row, Mutant, Result]]:
    """Mutants that compiled, each with its problem and verdict."""
    usable = problems.filter((pl.col("n_tests") > 0) & (pl.col("reference") != ""))
    names = usable.select("problem_id").collect()["problem_id"].to_list()
    chosen = sorted(names, key=lambda name: short_hash("repairs", seed, name))[:limit]
    rows = usable.filter(pl.col("problem_id").is_in(chosen)).sort("problem_id").collect().to_dicts()
    asked: list[tuple[Row, Mutant]] = []
    for row in rows:
        found = mutants(row["reference"], 1000, seed)
        found = [m for m in found if operators is None or m.operator in operators]
        asked += [(row, m) for m in found[:MUTANTS_PER_PROBLEM]]
    results = judge(
        client,
        [
            job(row, m.code, f"{row['problem_id']}~{position}", timeout=MUTANT_TIMEOUT_SECONDS)
            for position, (row, m) in enumerate(asked)
        ],
    )
    for (row, mutant), result in zip(asked, results, strict=True):
        if result.compile_ok:
            yield row, mutant, result

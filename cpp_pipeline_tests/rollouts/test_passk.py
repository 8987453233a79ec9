"""pass@k against counting all subsets, and the counts behind it."""

from __future__ import annotations

from itertools import combinations
from math import comb

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpp_pipeline.rollouts.passk import by_problem, pass_at_k
from cpp_pipeline.schemas import TABLES


def solution(problem_id, number, verdict, **changes):
    """One row of pass_k_solutions."""
    passed = {"AC": 5, "PA": 3, "WA": 0}.get(verdict, 0)
    row = {
        "problem_id": problem_id,
        "solution_id": f"{problem_id}:{number}",
        "sample_id": number,
        "prompt": "p",
        "code": f"int solve() {{ return {number}; }}",
        "count": 1,
        "k": 8,
        "verdict": verdict,
        "compile_ok": None if verdict is None else verdict not in ("CE", "CLE"),
        "tests_passed": None if verdict is None else passed,
        "tests_total": 5,
        "score": None if verdict is None else passed / 5,
        "category": None if verdict is None else {5: "correct", 0: "wrong"}.get(passed, "partial"),
        "n_tokens": 7,
        "truncated": False,
        "error": "no judge" if verdict is None else None,
    }
    return row | changes


@given(st.integers(1, 9).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_equals_the_share_of_subsets_with_a_passing_sample(counts):
    n, c, k = counts
    hits = sum(any(i < c for i in subset) for subset in combinations(range(n), k))
    assert pass_at_k(n, c, k) == pytest.approx(hits / comb(n, k), abs=1e-12)


def test_known_values_and_limits():
    assert pass_at_k(200, 10, 1) == pytest.approx(0.05)
    assert pass_at_k(8, 0, 8) == 0.0
    assert pass_at_k(8, 1, 8) == 1.0
    assert 0 < pass_at_k(100_000, 1, 10) < 1.1e-4


@pytest.mark.parametrize(("n", "c", "k"), [(4, 1, 5), (4, 5, 1), (4, -1, 1), (0, 0, 1), (4, 1, 0)])
def test_refuses_what_cannot_be_estimated(n, c, k):
    with pytest.raises(ValueError, match="pass@"):
        pass_at_k(n, c, k)


def test_counts_weigh_each_code_by_its_samples_and_skip_errors():
    rows = [
        solution("b", 0, "AC", count=3),
        solution("b", 1, "PA", count=2),
        solution("b", 2, None, count=3),
        solution("a", 0, "CE"),
        solution("c", 0, None),
    ]
    counts = by_problem(TABLES["pass_k_solutions"].frame(rows)).collect()
    assert counts.rows() == [("a", 1, 0), ("b", 5, 3)]
    assert counts.schema == pl.Schema({"problem_id": pl.String, "n": pl.Int64, "c": pl.Int64})

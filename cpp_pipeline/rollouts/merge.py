"""From samples and verdicts to rows of solutions, and from shards to one table.

Belongs here: pure functions on samples that were judged. Does not belong here: sampling (`sample`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from cpp_pipeline.curate.tokens import normalised
from cpp_pipeline.rollouts.passk import by_problem
from cpp_pipeline.sandbox.rewards import masked_kind, reward
from cpp_pipeline.sandbox.types import Result
from cpp_pipeline.schemas import TABLES


@dataclass(frozen=True)
class Candidate:
    """One distinct solution of a problem before it is judged; `count` samples normalise to it."""

    problem_id: str
    solution_id: str
    sample_id: int
    prompt: str
    code: str
    count: int
    k: int
    n_tokens: int
    truncated: bool


def distinct_candidates(problem_id: str, prompt: str, samples: Sequence[tuple[str, int, bool]]) -> list[Candidate]:
    """Merge samples that differ in comments and layout alone, in order of first appearance.

    Parameters
    ----------
    samples
        For each sample, numbered from 0: complete code, tokens of the completion, truncated.
    """
    groups: dict[str, list[int]] = {}
    for number, (code, _, _) in enumerate(samples):
        groups.setdefault(normalised(code), []).append(number)
    found = []
    for text, numbers in groups.items():
        code, n_tokens, truncated = samples[numbers[0]]
        name = f"{problem_id}#{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"
        found.append(
            Candidate(problem_id, name, numbers[0], prompt, code, len(numbers), len(samples), n_tokens, truncated)
        )
    return found


def solution_row(candidate: Candidate, result: Result) -> dict[str, Any]:
    """A row of pass_k_solutions; a result without a reward (see `sandbox.rewards`) gives no verdict and no score."""
    score = reward(result)
    failed = result.error is not None or score is None
    return {
        **vars(candidate),
        "verdict": None if failed else result.verdict,
        "compile_ok": None if failed else result.compile_ok,
        "tests_passed": None if failed else result.tests_passed,
        "tests_total": result.tests_total,
        "score": None if failed else score,
        "category": None if failed or score is None else category(score),
        "error": (result.error or masked_kind(result)) if failed else None,
    }


def category(score: float) -> str:
    """`correct` at 1, `wrong` at 0, `partial` between."""
    return "correct" if score == 1.0 else "wrong" if score == 0.0 else "partial"


def merge(shards: Sequence[pl.LazyFrame]) -> pl.LazyFrame:
    """All shards as one table, in order of problem and first sample, whatever the order of the shards."""
    table = TABLES["pass_k_solutions"]
    rows = pl.concat([table.conform(s) for s in shards]) if shards else table.empty()
    return rows.sort("problem_id", "sample_id")


def summary(solutions: pl.LazyFrame) -> dict[str, Any]:
    """Counts over a table of solutions, weighted by `count`; shares are of all samples.

    pass@1 is the mean over problems of the share of judged samples that pass every test; null when no
    sample was judged.
    """
    count = pl.col("count")
    totals: Mapping[str, Any] = (
        solutions.select(
            problems=pl.col("problem_id").n_unique(),
            samples=count.sum(),
            distinct=pl.len(),
            truncated=count.filter(pl.col("truncated")).sum(),
            errors=count.filter(pl.col("error").is_not_null()).sum(),
        )
        .collect()
        .row(0, named=True)
    )
    per_problem = by_problem(solutions).select((pl.col("c") / pl.col("n")).mean()).collect()
    samples = max(1, totals["samples"])
    return {
        "problems": totals["problems"],
        "samples": totals["samples"],
        "pass@1": per_problem.item(),
        "truncated_share": totals["truncated"] / samples,
        "distinct_share": totals["distinct"] / samples,
        "errors": totals["errors"],
    }

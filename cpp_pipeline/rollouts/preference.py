"""Preference pairs: two similar solutions of one problem, one better on the same tests.

Belongs here: which pairs of judged solutions qualify, and which are kept.
Does not belong here: the similarity itself (`curate.similarity`) and training on the pairs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from fractions import Fraction
from itertools import groupby
from typing import Any, NamedTuple

import polars as pl

from cpp_pipeline.curate.similarity import is_rename, similarity
from cpp_pipeline.schemas import TABLES

MIN_SIMILARITY, MIN_MARGIN = 0.7, 0.2


class Judged(NamedTuple):
    """One judged solution, as far as pairing needs it."""

    solution_id: str
    code: str
    passed: int
    total: int
    compile_ok: bool


def margin_reached(better: int, worse: int, total: int, min_margin: Fraction) -> bool:
    """Whether (better - worse) / total >= min_margin, exactly, in whole numbers of tests.

    The margin is inclusive: with 0.2, 5 of 5 against 4 of 5 is a pair. In floats 1.0 - 0.8 is
    0.19999999999999996, below 0.2 by either comparison, so the counts are compared.
    """
    gain = better - worse
    return gain > 0 and gain * min_margin.denominator >= min_margin.numerator * total


def best_pairs(
    solutions: list[Judged], min_similarity: float, min_margin: Fraction, cap: int
) -> list[tuple[Judged, Judged, float]]:
    """The qualifying (chosen, rejected, similarity) of one problem, best first, at most `cap`.

    Ordered by margin, then similarity, both descending, then by the ids. Similarities are computed
    one margin at a time, so that the cap also bounds the work.
    """
    by_gain: dict[Fraction, list[tuple[Judged, Judged]]] = {}
    for chosen in solutions:
        for rejected in solutions:
            same_tests = chosen.compile_ok and chosen.total == rejected.total > 0
            if same_tests and margin_reached(chosen.passed, rejected.passed, chosen.total, min_margin):
                gain = Fraction(chosen.passed - rejected.passed, chosen.total)
                by_gain.setdefault(gain, []).append((chosen, rejected))
    kept: list[tuple[Judged, Judged, float]] = []
    for gain in sorted(by_gain, reverse=True):
        if len(kept) >= cap:
            break
        alike = [(c, r, similarity(c.code, r.code)) for c, r in by_gain[gain]]
        alike = [p for p in alike if p[2] > min_similarity and not is_rename(p[0].code, p[1].code)]
        kept += sorted(alike, key=lambda p: (-p[2], p[0].solution_id, p[1].solution_id))
    return kept[:cap]


def pairs(
    solutions: pl.LazyFrame,
    problems: pl.LazyFrame,
    min_similarity: float = MIN_SIMILARITY,
    min_margin: float = MIN_MARGIN,
    cap_per_problem: int = 8,
) -> pl.LazyFrame:
    """Pair up the judged solutions of each problem.

    A pair qualifies when `chosen` compiles, both met the same number of tests, their similarity is
    above `min_similarity`, and `chosen` passes more tests by at least `min_margin` of them
    (`margin_reached`: inclusive, exact). `rejected` may fail to compile. Codes that differ in layout
    or names only make no pair. Rows with an `error` have no verdict and take no part. Whether
    `chosen` passes everything is a column.

    Parameters
    ----------
    solutions
        Rows of `pass_k_solutions` or `sft_pass_k_solutions`.
    problems
        Rows of `train_problems`; gives the instruction. Solutions of other problems are an error.

    Returns
    -------
    LazyFrame
        `preference_pairs`, ordered by problem, then margin and similarity, largest first.
    """
    margin = Fraction(str(min_margin))
    if not 0 < margin <= 1 or not 0 <= min_similarity < 1 or cap_per_problem < 1:
        raise ValueError(
            f"min_margin {min_margin} must lie in (0, 1], min_similarity {min_similarity} in [0, 1), "
            f"cap_per_problem {cap_per_problem} above 0"
        )
    instructions = dict(problems.select("problem_id", "instruction").collect().iter_rows())
    rows = [
        _row(problem_id, instructions, chosen, rejected, alike)
        for problem_id, group in _judged(solutions)
        for chosen, rejected, alike in best_pairs(group, min_similarity, margin, cap_per_problem)
    ]
    return TABLES["preference_pairs"].frame(rows)


def _judged(solutions: pl.LazyFrame) -> Iterator[tuple[str, list[Judged]]]:
    frame = (
        solutions.filter(pl.col("error").is_null(), pl.col("verdict").is_not_null())
        .select(
            "problem_id",
            "solution_id",
            "code",
            pl.col("tests_passed").fill_null(0),  # a compile error ran no test
            "tests_total",
            pl.col("compile_ok").fill_null(False),
        )
        .sort("problem_id", "solution_id")
        .collect()
    )
    for problem_id, rows in groupby(frame.iter_rows(), key=lambda row: str(row[0])):
        yield problem_id, [Judged(*row[1:]) for row in rows]


def _row(
    problem_id: str, instructions: dict[str, str], chosen: Judged, rejected: Judged, alike: float
) -> dict[str, Any]:
    if problem_id not in instructions:
        raise ValueError(
            f"solution {chosen.solution_id} belongs to problem {problem_id}, which the problem table lacks: "
            "pass the problems that were sampled"
        )
    digest = hashlib.sha256(f"{chosen.solution_id}\n{rejected.solution_id}".encode()).hexdigest()[:16]
    return {
        "row_id": f"{problem_id}:{digest}",
        "problem_id": problem_id,
        "instruction": instructions[problem_id],
        "chosen": chosen.code,
        "rejected": rejected.code,
        "similarity": alike,
        "margin": (chosen.passed - rejected.passed) / chosen.total,
        "chosen_passed": chosen.passed,
        "rejected_passed": rejected.passed,
        "tests_total": chosen.total,
        "chosen_passes_all": chosen.passed == chosen.total,
    }


def training_pairs(pairs: pl.LazyFrame, near_misses: pl.LazyFrame, problems: pl.LazyFrame) -> pl.LazyFrame:
    """What preference training reads: sampled pairs, and references beside a mutant that fails few tests.

    Returns
    -------
    LazyFrame
        instruction, chosen, rejected; sampled pairs first.
    """
    columns = ("instruction", "chosen", "rejected")
    neighbours = near_misses.join(
        problems.select("problem_id", "instruction"), on="problem_id", how="inner", maintain_order="left"
    )
    return pl.concat([pairs.select(columns), neighbours.select(columns)])

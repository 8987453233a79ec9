"""The unbiased pass@k estimator and the counts that it needs.

Belongs here: from judged solutions to (n, c) a problem, and from these to pass@k.
Does not belong here: intervals and comparisons (`evaluation/`).
"""

from __future__ import annotations

import polars as pl


def pass_at_k(n: int, c: int, k: int) -> float:
    """Probability that at least one of k samples, drawn from n of which c pass, passes.

    1 - C(n-c, k) / C(n, k), as the product of arXiv 2107.03374 (eq. 1), which does not overflow.

    Raises
    ------
    ValueError
        If k > n (the estimator would be biased), or the counts do not fit each other.
    """
    if not 0 <= c <= n:
        raise ValueError(f"pass@k needs 0 <= c <= n, not c={c}, n={n}")
    if not 1 <= k <= n:
        raise ValueError(f"pass@{k} cannot be estimated from {n} samples: draw at least {max(k, 1)} a problem")
    if n - c < k:
        return 1.0
    miss = 1.0
    for i in range(n - c + 1, n + 1):
        miss *= 1.0 - k / i
    return 1.0 - miss


def by_problem(solutions: pl.LazyFrame) -> pl.LazyFrame:
    """Count the samples and the passing samples of each problem.

    Parameters
    ----------
    solutions
        Rows of `pass_k_solutions`: distinct codes, `count` samples each. Rows with an `error`
        have no verdict and are left out of both counts; a problem with no verdict at all is absent.

    Returns
    -------
    LazyFrame
        problem_id, n (samples judged), c (samples that pass every test); ordered by problem_id.
    """
    judged = solutions.filter(pl.col("error").is_null(), pl.col("verdict").is_not_null())
    return (
        judged.group_by("problem_id")
        .agg(
            n=pl.col("count").sum(),
            c=pl.col("count").filter(pl.col("verdict") == "AC").sum(),
        )
        .sort("problem_id")
    )

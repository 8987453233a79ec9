"""Estimates with intervals: pass@k over problems, differences between checkpoints, proportions.

Belongs here: arithmetic on counts. Does not belong here: files, plots, verdicts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from cpp_pipeline.rollouts.passk import by_problem, pass_at_k

INTERVAL_DRAWS = 10_000
DIFFERENCE_DRAWS = 20_000
CONFIDENCE = 0.95
_DRAWS_AT_ONCE = 1000

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval; `n` counts what it is a mean over. No interval: both ends None."""

    value: float
    low: float | None
    high: float | None
    n: int

    def to_json(self) -> dict[str, float | int | None]:
        """As in metrics.json."""
        return asdict(self)


def problem_counts(solutions: pl.LazyFrame) -> dict[str, tuple[int, int]]:
    """For each problem (samples judged, samples that pass); problems without a verdict are absent."""
    rows = by_problem(solutions).collect()
    return {p: (n, c) for p, n, c in rows.select("problem_id", "n", "c").iter_rows()}


def per_problem_pass(counts: Mapping[str, tuple[int, int]], k: int) -> dict[str, float]:
    """The unbiased pass@k of each problem (arXiv 2107.03374, eq. 1).

    Raises
    ------
    ValueError
        When a problem has fewer than k judged samples.
    """
    return {problem: pass_at_k(n, c, k) for problem, (n, c) in counts.items()}


def mean_with_interval(values: Sequence[float], seed: int = 0, draws: int = INTERVAL_DRAWS) -> Estimate:
    """Mean over problems with its percentile bootstrap interval (problems are resampled).

    Raises
    ------
    ValueError
        Without any value.
    """
    if not values:
        raise ValueError("no problem was judged: there is nothing to average")
    data = np.asarray(values, dtype=np.float64)
    low, high = _percentiles(_bootstrap_means(data, seed, draws))
    return Estimate(float(data.mean()), low, high, len(data))


def paired_difference(
    after: Mapping[str, float], before: Mapping[str, float], seed: int = 0, draws: int = DIFFERENCE_DRAWS
) -> Estimate:
    """Mean of after - before over the problems that both have, by paired bootstrap.

    Raises
    ------
    ValueError
        When the two share no problem.
    """
    shared = sorted(after.keys() & before.keys())
    if not shared:
        raise ValueError("the two evaluations share no problem: they cannot be compared")
    return mean_with_interval([after[p] - before[p] for p in shared], seed, draws)


def wilson(successes: int, n: int) -> Estimate:
    """Proportion with Wilson's score interval (Wilson 1927), at 95 %.

    Raises
    ------
    ValueError
        Unless 0 <= successes <= n and n >= 1.
    """
    if not 0 <= successes <= n or n < 1:
        raise ValueError(f"{successes} of {n} is not a proportion")
    z = 1.959963984540054
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # At the ends the interval touches 0 or 1 exactly; rounding must not push it past the share.
    return Estimate(share, min(max(0.0, centre - reach), share), max(min(1.0, centre + reach), share), n)


def _bootstrap_means(data: Floats, seed: int, draws: int) -> Floats:
    generator = np.random.Generator(np.random.PCG64([seed, len(data)]))
    even = np.full(len(data), 1 / len(data))
    means = [
        generator.multinomial(len(data), even, size=min(_DRAWS_AT_ONCE, draws - done)) @ data / len(data)
        for done in range(0, draws, _DRAWS_AT_ONCE)
    ]
    return np.concatenate(means)


def _percentiles(means: Floats) -> tuple[float, float]:
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)

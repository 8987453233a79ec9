"""Intervals cover, differences are paired, proportions stay proportions."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpp_pipeline.evaluation.estimators import mean_with_interval, paired_difference, per_problem_pass, wilson


def test_interval_holds_the_mean_and_is_seeded() -> None:
    values = [0.0, 0.25, 0.5, 1.0] * 16
    first, again, other = (mean_with_interval(values, seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other
    assert first.value == pytest.approx(0.4375)
    assert first.low is not None and first.high is not None
    assert 0.33 < first.low < first.value < first.high < 0.55
    assert first.n == 64


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = random.Random("coverage")
    covered = 0
    for trial in range(200):
        found = mean_with_interval([float(rng.random() < 0.4) for _ in range(100)], trial, draws=500)
        assert found.low is not None and found.high is not None
        covered += found.low <= 0.4 <= found.high
    assert 180 <= covered <= 199


def test_pairing_removes_what_problems_have_in_common() -> None:
    rng = random.Random("pairs")
    before = {f"p{i}": rng.random() * 0.8 for i in range(128)}
    after = {p: v + 0.1 + 0.02 * rng.random() for p, v in before.items()}
    found = paired_difference(after, before)
    assert found.low is not None and found.high is not None
    assert 0.1 < found.low < found.high < 0.12
    backwards = paired_difference(before, after)
    assert backwards.value == pytest.approx(-found.value)


def test_only_shared_problems_are_compared() -> None:
    found = paired_difference({"a": 1.0, "b": 0.0}, {"a": 0.5, "c": 1.0})
    assert (found.value, found.n) == (0.5, 1)
    with pytest.raises(ValueError, match="share no problem"):
        paired_difference({"a": 1.0}, {"b": 1.0})


def test_no_value_is_an_error() -> None:
    with pytest.raises(ValueError, match="no problem was judged"):
        mean_with_interval([])


def test_pass_at_k_of_problems() -> None:
    assert per_problem_pass({"a": (4, 1), "b": (4, 4)}, 2) == pytest.approx({"a": 0.5, "b": 1.0})
    with pytest.raises(ValueError, match="cannot be estimated"):
        per_problem_pass({"a": (1, 1)}, 2)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_share(pair: tuple[int, int]) -> None:
    found = wilson(*pair)
    assert found.low is not None and found.high is not None
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.low < found.high


def test_wilson_known_values() -> None:
    found = wilson(197, 200)
    # (197/200 at 95 %): 0.9569 to 0.9949
    assert (found.low, found.high) == (pytest.approx(0.9569, abs=1e-4), pytest.approx(0.9949, abs=1e-4))
    with pytest.raises(ValueError, match="not a proportion"):
        wilson(3, 2)

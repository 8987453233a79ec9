"""Preference pairs: exact margins, similarity limits, order and cap."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpp_pipeline.rollouts.preference import margin_reached, pairs
from cpp_pipeline.schemas import TABLES
from cpp_pipeline_tests.rollouts.test_passk import solution
from cpp_pipeline_tests.rollouts.test_prompts import problem

LOOP = "int solve(int n) {{ int r = 0; for (int i = {0}; i < n; ++i) {{ r += i * {1}; }} return r; }}"


def _pairs(solutions, problems=("a", "b"), **kwargs):
    frame = pairs(
        TABLES["sft_pass_k_solutions"].frame(solutions),
        TABLES["train_problems"].frame([problem(name) for name in problems]),
        **kwargs,
    )
    assert TABLES["preference_pairs"].violations(frame) == {}
    return frame.collect().rows(named=True)


def _judged(name, number, passed, code=None, **changes):
    code = LOOP.format(0, number) if code is None else code
    verdict = "AC" if passed == 5 else "PA" if passed else "WA"
    row = solution(name, number, verdict, code=code, tests_passed=passed, score=passed / 5)
    return row | changes


def test_five_of_five_against_four_of_five_is_a_pair():
    assert 1.0 - 0.8 < 0.2  # what a comparison in floats would see
    (row,) = _pairs([_judged("a", 0, 5), _judged("a", 1, 4)])
    assert (row["chosen_passed"], row["rejected_passed"], row["tests_total"]) == (5, 4, 5)
    assert row["margin"] == pytest.approx(0.2)
    assert row["chosen_passes_all"]
    assert row["instruction"] == "Write `int a()`."
    assert 0.7 < row["similarity"] < 1


@given(st.integers(1, 40), st.integers(1, 40), st.data())
def test_the_margin_is_exact_and_inclusive(total, parts, data):
    better, worse = data.draw(st.integers(0, total)), data.draw(st.integers(0, total))
    margin = Fraction(1, parts)
    assert margin_reached(better, worse, total, margin) == (Fraction(better - worse, total) >= margin)


def test_who_may_be_chosen_and_rejected():
    broken = {"verdict": "CE", "compile_ok": False, "tests_passed": 0, "score": 0.0}
    rows = _pairs(
        [
            _judged("a", 0, 3),
            _judged("a", 1, 0, **broken),
            _judged("a", 2, 5, verdict=None, compile_ok=None, tests_passed=None, score=None, error="down"),
            _judged("a", 3, 0, tests_total=4),
            _judged("b", 0, 4),
            _judged("b", 1, 4),
        ]
    )
    assert [(r["problem_id"], r["chosen_passed"], r["rejected_passed"]) for r in rows] == [("a", 3, 0)]
    assert not rows[0]["chosen_passes_all"]


def test_dissimilar_and_identical_programs_make_no_pair():
    same = LOOP.format(0, 1)
    spaced = same.replace("; ", ";\n    ")
    other = "int solve(int n) { while (n > 9) n /= 10; return n ? n : -1; }"
    assert _pairs([_judged("a", 0, 5, same), _judged("a", 1, 0, spaced), _judged("a", 2, 0, other)]) == []


def test_order_and_cap_do_not_depend_on_the_order_of_rows():
    rows = [_judged("a", i, passed) for i, passed in enumerate([5, 5, 4, 3, 0])]
    rows.append(_judged("a", 9, 0, LOOP.format(7, 8)))  # two tokens away, so behind the others
    everything = _pairs(rows, cap_per_problem=99)
    keys = [(-r["margin"], -r["similarity"]) for r in everything]
    assert keys == sorted(keys)
    assert len(everything) == 2 + 2 + 1 + 2 * 4
    assert len({r["row_id"] for r in everything}) == len(everything)
    assert _pairs(rows[::-1], cap_per_problem=99) == everything
    assert _pairs(rows, cap_per_problem=3) == everything[:3]


def test_no_pairs_is_an_empty_table():
    assert _pairs([]) == []


def test_refusals_name_the_remedy():
    with pytest.raises(ValueError, match="problem table lacks"):
        _pairs([_judged("z", 0, 5), _judged("z", 1, 0)])
    with pytest.raises(ValueError, match="min_margin 0"):
        _pairs([], min_margin=0)

"""CodeBLEU-style score: order of similarity, bounds, the data-flow part."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpp_pipeline.evaluation.codebleu import best_codebleu, codebleu

SUM = """int f(const std::vector<int>& v) {
    int r = 0;
    for (int x : v) {
        r += x;
    }
    return r;
}
"""
RENAMED = re.sub(r"\br\b", "total", re.sub(r"\bx\b", "value", SUM))
PRODUCT = SUM.replace("r = 0", "r = 1").replace("r += x", "r *= x")
OTHER = 'void g() { std::puts("hello"); }\n'


def test_equal_code_scores_one() -> None:
    found = codebleu(SUM, SUM)
    assert (found.ngram, found.weighted, found.syntax, found.dataflow) == pytest.approx((1, 1, 1, 1))
    assert codebleu("// words\n" + SUM.replace("\n", " "), SUM).score == pytest.approx(1, abs=0.02)


def test_nearer_code_scores_higher() -> None:
    scores = [codebleu(c, SUM).score for c in (PRODUCT, RENAMED, OTHER, "")]
    assert 1 > scores[0] > scores[2] > scores[3]
    assert 1 > scores[1] > scores[2]
    assert scores[3] == 0


def test_renaming_changes_words_but_neither_syntax_nor_data_flow() -> None:
    found = codebleu(RENAMED, SUM)
    assert found.ngram < 0.8
    assert (found.syntax, found.dataflow) == pytest.approx((1, 1))


def test_data_flow_sees_another_source() -> None:
    wanted = "int f(int a, int b) { int c = a; return c; }"
    found = codebleu("int f(int a, int b) { int c = b; return c; }", wanted)
    assert found.syntax == 1
    assert found.dataflow is not None and found.dataflow < 1


def test_without_data_flow_in_the_reference_the_part_is_left_out() -> None:
    found = codebleu(OTHER, OTHER)
    assert found.dataflow is None
    assert found.score == pytest.approx(1)


def test_short_answers_are_not_rewarded() -> None:
    assert codebleu("int f", SUM).ngram < 0.1


def test_the_closest_reference_counts() -> None:
    assert best_codebleu(SUM, [OTHER, SUM]) == pytest.approx(1)
    with pytest.raises(ValueError, match="at least one reference"):
        best_codebleu(SUM, [])


@given(st.text(max_size=80), st.sampled_from([SUM, OTHER]))
def test_any_text_has_a_score_between_0_and_1(candidate: str, reference: str) -> None:
    assert 0 <= codebleu(candidate, reference).score <= 1

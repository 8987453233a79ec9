"""The GSPO prompt pool: which problems, which answers, which pass rate."""

from __future__ import annotations

import pytest

from cpp_pipeline.rollouts.prompts import gspo_prompts
from cpp_pipeline.schemas import TABLES
from cpp_pipeline_tests.rollouts.test_passk import solution


def problem(name: str, **changes):
    """One row of train_problems."""
    reference = f"int {name}() {{ return 1; }}"
    row = {
        "problem_id": name,
        "source": "family",
        "split_key": name,
        "doc": "One.",
        "instruction": f"Write `int {name}()`.",
        "signature": f"int {name}()",
        "entry_point": name,
        "preamble": "",
        "tests": '[{"args": [], "expected": 1}]',
        "n_tests": 1,
        "reference": reference,
        "references": [reference],
        "test_code": None,
        "licence": "Apache-2.0",
        "mutation_score": None,
        "provenance": "test",
    }
    return row | changes


def _pool(problems, solutions, **kwargs):
    frame = gspo_prompts(
        TABLES["train_problems"].frame(problems), TABLES["sft_pass_k_solutions"].frame(solutions), **kwargs
    )
    assert TABLES["gspo_prompts"].violations(frame) == {}
    return frame.collect().rows(named=True)


def test_answers_failures_and_pass_rate_of_a_sampled_problem():
    reference = problem("a")["reference"]
    rows = _pool(
        [problem("b"), problem("a"), problem("untested", n_tests=0, tests="[]")],
        [
            solution("a", 3, "CLE"),
            solution("a", 0, "AC", code=reference, count=2),
            solution("a", 1, "AC", code="other"),
            solution("a", 2, "PA"),
            solution("a", 4, None),
        ],
    )
    assert [row["problem_id"] for row in rows] == ["a", "b"]
    a, b = rows
    assert a["reference_solutions"] == [{"code": reference, "score": 1.0}, {"code": "other", "score": 1.0}]
    assert [(n["score"], n["error"]) for n in a["negative_samples"]] == [
        (0.6, "wrong_answer"),
        (0.0, "compile_error"),
    ]
    assert a["pass_rate"] == pytest.approx(3 / 5)
    assert (b["pass_rate"], b["negative_samples"]) == (None, [])
    assert b["reference_solutions"] == [{"code": problem("b")["reference"], "score": 1.0}]


def test_works_without_any_sample_or_reference():
    rows = _pool([problem("a", references=[], reference="")], [])
    assert rows[0]["reference_solutions"] == []
    assert rows[0]["pass_rate"] is None


def test_the_limit_draws_by_seed_alone():
    many = [problem(f"p{i:02}") for i in range(30)]
    drawn = [
        [r["problem_id"] for r in _pool(rows, [], limit=8, seed=s)]
        for rows, s in ((many, 1), (many[::-1], 1), (many, 2))
    ]
    assert drawn[0] == drawn[1] == sorted(set(drawn[0]))
    assert len(drawn[0]) == 8
    assert drawn[2] != drawn[0]
    assert len(_pool(many, [], limit=99)) == 30
    with pytest.raises(ValueError, match="limit"):
        _pool(many, [], limit=0)

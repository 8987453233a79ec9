"""The training pass: which groups count, how batches are cut, what a step does."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cpp_pipeline.training.gspo_logprobs import TokenRow, frozen_logprobs
from cpp_pipeline.training.gspo_rollout import Rollout
from cpp_pipeline.training.gspo_update import (
    Sample,
    UpdateConfig,
    live_groups,
    mini_batches,
    train_pass,
    with_trainer_logprobs,
)
from cpp_pipeline_tests.training.gspo_support import ANSWERS, fresh, instruction, token_row

CONFIG = UpdateConfig(epsilon=3e-4, epsilon_high=4e-4, steps_per_generation=2, micro_tokens=256)


def _rollout(group, answer, reward):
    return Rollout(group, TokenRow((1, group), (answer, 9)), (-1.0, -2.0), False, reward, None)


def test_groups_without_variance_and_rollouts_without_verdict_are_left_out():
    rollouts = [
        *(_rollout(0, a, 1.0) for a in (1, 2, 3)),
        *(_rollout(1, a, r) for a, r in ((1, 1.0), (1, 1.0), (2, 0.0), (3, None))),
        *(_rollout(2, a, r) for a, r in ((1, None), (2, 1.0), (3, None))),
    ]
    groups, flat = live_groups(rollouts)
    assert flat == pytest.approx(2 / 3)
    (group,) = groups
    assert [(s.row.completion_ids[0], s.count) for s in group] == [(1, 2), (2, 1)]
    assert sum(s.advantage * s.count for s in group) == pytest.approx(0, abs=1e-9)
    assert group[0].advantage > 0 > group[1].advantage


@given(st.integers(0, 40), st.integers(1, 6), st.integers(0, 3), st.integers(0, 3))
def test_mini_batches_are_a_balanced_partition_into_whole_groups(n, steps, seed, generation):
    groups = [[Sample(TokenRow((1,), (g, k)), (0.0, 0.0), 1.0, 1) for k in range(3)] for g in range(n)]
    batches = mini_batches(groups, steps, seed, generation)
    assert len(batches) == min(n, steps)
    seen = [sample.row.completion_ids for batch in batches for sample in batch]
    assert sorted(seen) == [(g, k) for g in range(n) for k in range(3)]
    assert all(len(b) % 3 == 0 for b in batches)
    assert n == 0 or max(map(len, batches)) - min(map(len, batches)) <= 3
    assert batches == mini_batches(groups, steps, seed, generation)


def _samples(model, tokenizer, advantages, shift=0):
    rows = [token_row(tokenizer, instruction(shift), a) for a in ANSWERS]
    old = frozen_logprobs(model, rows, 512)
    return [Sample(r, o, a, 1) for r, o, a in zip(rows, old, advantages, strict=True)]


def _adam(model):
    return torch.optim.Adam(model.parameters(), lr=1e-3, betas=(0.9, 0.95))


def test_a_step_makes_the_better_answer_likelier():
    model, tokenizer = fresh()
    samples = _samples(model, tokenizer, (-0.5, 1.0, -0.5))
    stats = train_pass(model, _adam(model), [samples], CONFIG)
    after = frozen_logprobs(model, [s.row for s in samples], 512)
    gains = [sum(new) - sum(s.old_logp) for new, s in zip(after, samples, strict=True)]
    assert gains[1] > 0
    assert gains[1] > max(gains[0], gains[2])
    metrics = stats.metrics()
    assert metrics["optimizer_steps"] == 1
    assert metrics["clip_fraction"] == 0.0  # one step on the sampler's own weights: ratio 1
    assert metrics["logp_gap"] < 1e-6
    assert metrics["loss"] == pytest.approx(0.0, abs=1e-6)
    assert metrics["grad_norm"] > 0


def test_later_mini_batches_see_a_ratio_and_clip():
    model, tokenizer = fresh()
    batches = [_samples(model, tokenizer, (-0.5, 1.0, -0.5), shift) for shift in (0, 1)]
    stats = train_pass(model, _adam(model), batches, CONFIG)
    assert stats.clipped[:3] == [False] * 3
    assert any(stats.clipped[3:])
    assert max(abs(r) for r in stats.log_ratios[3:]) > 1e-3
    assert len(stats.first_gaps) == 3


def _after(micro_tokens, samples, model):
    model = copy.deepcopy(model)
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    config = UpdateConfig(3e-4, 4e-4, 1, micro_tokens=micro_tokens)
    stats = train_pass(model, sgd, [samples], config)
    return stats, torch.cat([p.detach().flatten() for p in model.parameters()])


def test_neither_micro_batches_nor_merged_duplicates_change_the_update():
    model, tokenizer = fresh()
    a, b, c = _samples(model, tokenizer, (-0.6, 1.2, -0.3))
    doubled = Sample(a.row, a.old_logp, a.advantage, 2)
    stats, expected = _after(10_000, [a, a, b, c], model)
    for micro_tokens, samples in ((10_000, [doubled, b, c]), (1, [a, a, b, c]), (90, [doubled, b, c])):
        other, found = _after(micro_tokens, samples, model)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
        assert len(other.clipped) == len(stats.clipped) == 4
        assert other.losses == pytest.approx(stats.losses, abs=1e-6)


def test_trainer_logprobs_replace_the_samplers_and_report_the_gap():
    model, tokenizer = fresh()
    right = _samples(model, tokenizer, (1.0, -1.0, 0.0))
    off = [Sample(s.row, tuple(v + 0.25 for v in s.old_logp), s.advantage, s.count) for s in right]
    (batch,), gap = with_trainer_logprobs(model, [off], 512)
    assert gap == pytest.approx(0.25, abs=1e-5)
    for fixed, sample in zip(batch, right, strict=True):
        assert fixed.old_logp == pytest.approx(sample.old_logp, abs=1e-5)


def test_a_gradient_that_is_not_finite_stops_before_the_step():
    model, tokenizer = fresh()
    samples = _samples(model, tokenizer, (1.0, -1.0, 0.0))
    samples[0] = Sample(samples[0].row, samples[0].old_logp, float("nan"), 1)
    before = [p.detach().clone() for p in model.parameters()]
    with pytest.raises(FloatingPointError, match="lower --lr"):
        train_pass(model, _adam(model), [samples], CONFIG)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))

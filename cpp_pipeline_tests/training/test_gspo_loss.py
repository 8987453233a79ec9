"""GSPO's objective against values worked out by hand, gradients, and its invariants."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cpp_pipeline.training.gspo_loss import group_advantages, gspo_loss, sequence_log_ratio

EPS, EPS_HIGH = 3e-4, 4e-4


def _scalar_loss(logp, old, mask, advantages, *, eps, level="sequence"):
    """The equations once more, in scalars and loops."""
    total, rows = 0.0, 0
    for lp, op, m, a in zip(logp, old, mask, advantages, strict=True):
        steps = [x - y for x, y, on in zip(lp, op, m, strict=True) if on]
        if not steps:
            continue
        rows += 1
        logs = [sum(steps) / len(steps)] if level == "sequence" else steps
        terms = []
        for log in logs:
            s = math.exp(log)
            terms.append(min(s * a, min(max(s, 1 - eps), 1 + eps) * a))
        total -= sum(terms) / len(terms)
    return total / max(rows, 1)


@pytest.mark.parametrize(
    ("steps", "advantage", "expected", "clipped"),
    [
        # mean log-ratio 0: s = 1, loss = -A
        ([0.1, -0.1], 2.0, -2.0, False),
        # s = exp(0.01) = 1.010050...; A > 0 is held at 1 + eps_high
        ([0.02, 0.0], 1.0, -1.0004, True),
        # the same move with A < 0 is not held: loss = +s
        ([0.02, 0.0], -1.0, 1.0100501670841680, False),
        # s = exp(-0.01) = 0.990049...; A < 0 is held at 1 - eps
        ([-0.01], -2.0, 2 * 0.9997, True),
        # and A > 0 is not: loss = -s
        ([-0.01], 2.0, -2 * 0.9900498337491681, False),
        # inside the range nothing is held
        ([2e-4, 2e-4], 1.0, -1.0002000200013334, False),
    ],
)
def test_one_row_by_hand(steps, advantage, expected, clipped):
    logp = torch.tensor([steps], dtype=torch.float64)
    out = gspo_loss(
        logp,
        torch.zeros_like(logp),
        torch.ones_like(logp),
        torch.tensor([advantage], dtype=torch.float64),
        epsilon=EPS,
        epsilon_high=EPS_HIGH,
    )
    assert out.loss.item() == pytest.approx(expected, rel=1e-14)
    assert out.clipped.tolist() == [clipped]


def test_length_does_not_weigh_a_sequence():
    """Two rows of 1 and of 4 tokens count the same (the mean is over sequences)."""
    mask = torch.tensor([[1, 0, 0, 0], [1, 1, 1, 1]])
    advantages = torch.tensor([3.0, -1.0], dtype=torch.float64)
    zeros = torch.zeros(2, 4, dtype=torch.float64)
    assert gspo_loss(zeros, zeros, mask, advantages, epsilon=EPS, epsilon_high=EPS_HIGH).loss.item() == -1.0


floats = st.floats(-0.5, 0.5, width=32)


@st.composite
def batches(draw):
    rows, tokens = draw(st.integers(1, 5)), draw(st.integers(1, 6))
    table = st.lists(st.lists(floats, min_size=tokens, max_size=tokens), min_size=rows, max_size=rows)
    mask = draw(st.lists(st.lists(st.booleans(), min_size=tokens, max_size=tokens), min_size=rows, max_size=rows))
    advantages = draw(st.lists(st.floats(-2, 2, width=32), min_size=rows, max_size=rows))
    return draw(table), draw(table), mask, advantages


@settings(max_examples=60, deadline=None)
@given(batches(), st.sampled_from(["sequence", "token"]), st.sampled_from([3e-4, 0.1]))
def test_agrees_with_the_scalar_equations(batch, level, eps):
    logp, old, mask, advantages = batch
    out = gspo_loss(
        torch.tensor(logp, dtype=torch.float64),
        torch.tensor(old, dtype=torch.float64),
        torch.tensor(mask),
        torch.tensor(advantages, dtype=torch.float64),
        epsilon=eps,
        epsilon_high=eps,
        level=level,
    )
    assert out.loss.item() == pytest.approx(
        _scalar_loss(logp, old, mask, advantages, eps=eps, level=level), rel=1e-9, abs=1e-12
    )


@settings(max_examples=40, deadline=None)
@given(batches())
def test_same_policy_gives_ratio_one_and_the_policy_gradient(batch):
    logp, _, mask, advantages = batch
    x = torch.tensor(logp, dtype=torch.float64, requires_grad=True)
    on, a = torch.tensor(mask), torch.tensor(advantages, dtype=torch.float64)
    out = gspo_loss(x, x.detach(), on, a, epsilon=EPS, epsilon_high=EPS_HIGH)
    assert out.log_ratio.abs().max().item() == 0.0
    assert not out.clipped.any()
    out.loss.backward()
    n = on.sum(-1, keepdim=True)
    live = int((n > 0).sum())
    expected = torch.where(on, -a[:, None] / n.clamp(min=1) / max(live, 1), 0.0)
    torch.testing.assert_close(x.grad, expected.double(), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("level", ["sequence", "token"])
def test_gradient_against_finite_differences(level):
    generator = torch.Generator().manual_seed(7)
    logp = torch.randn(4, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    old = logp.detach() + 0.2 * torch.randn(4, 5, generator=generator, dtype=torch.float64)
    mask = torch.tensor([[1, 1, 1, 0, 0], [1] * 5, [0] * 5, [1, 1, 0, 0, 0]])
    a = torch.tensor([1.0, -2.0, 5.0, 0.5], dtype=torch.float64)

    def f(x):
        return gspo_loss(x, old, mask, a, epsilon=0.05, epsilon_high=0.07, level=level).loss

    assert torch.autograd.gradcheck(f, (logp,))


def test_a_clipped_sequence_has_no_gradient():
    logp = torch.tensor([[0.1, 0.1], [0.1, 0.1]], dtype=torch.float64, requires_grad=True)
    zeros, ones = torch.zeros(2, 2, dtype=torch.float64), torch.ones(2, 2)
    out = gspo_loss(
        logp, zeros, ones, torch.tensor([1.0, -1.0], dtype=torch.float64), epsilon=EPS, epsilon_high=EPS_HIGH
    )
    out.loss.backward()
    assert out.clipped.tolist() == [True, False]
    assert logp.grad[0].abs().sum() == 0
    assert (logp.grad[1] > 0).all()


def test_fully_masked_rows_count_nowhere_and_stay_finite():
    logp = torch.tensor([[0.0, 0.1], [math.nan, -math.inf]], dtype=torch.float64, requires_grad=True)
    old = torch.tensor([[0.0, 0.0], [-math.inf, math.nan]], dtype=torch.float64)
    mask = torch.tensor([[1, 1], [0, 0]])
    a = torch.tensor([-1.0, 9.0], dtype=torch.float64)
    both = gspo_loss(logp, old, mask, a, epsilon=EPS, epsilon_high=EPS_HIGH)
    alone = gspo_loss(logp[:1], old[:1], mask[:1], a[:1], epsilon=EPS, epsilon_high=EPS_HIGH)
    assert both.loss.item() == alone.loss.item()
    both.loss.backward()
    assert torch.isfinite(logp.grad).all()
    assert logp.grad[1].abs().sum() == 0
    nothing = gspo_loss(logp, old, torch.zeros(2, 2), a, epsilon=EPS, epsilon_high=EPS_HIGH)
    assert nothing.loss.item() == 0.0
    assert sequence_log_ratio(logp, old, torch.zeros(2, 2)).tolist() == [0.0, 0.0]


def test_micro_batches_add_up_to_the_mini_batch():
    generator = torch.Generator().manual_seed(1)
    logp, old = torch.randn(2, 6, 4, generator=generator, dtype=torch.float64)
    mask = torch.rand(6, 4, generator=generator) > 0.3
    mask[:, 0] = True
    a = torch.randn(6, generator=generator, dtype=torch.float64)
    whole = gspo_loss(logp, old, mask, a, epsilon=0.1, epsilon_high=0.2).loss
    parts = sum(
        gspo_loss(logp[i], old[i], mask[i], a[i], epsilon=0.1, epsilon_high=0.2, rows=6).loss
        for i in ([0, 4], [1, 2, 3], [5])
    )
    torch.testing.assert_close(whole, parts, rtol=1e-14, atol=0)


# Loss, sum of |gradient| and one entry of it from TRL 1.16.0's GRPOTrainer (loss_type "grpo", beta 0, float64)
# on `_wave(scale)`: (level, scale, epsilon, epsilon_high, loss, absolute gradient, gradient of row 3, token 1).
TRL = [
    ("sequence", 1e-4, 3e-4, 4e-4, -4.9021055742282105e-05, 1.2500304440265326, 0.12499762831720197),
    ("sequence", 1e-4, 0.2, 0.28, -4.9021055742282105e-05, 1.2500304440265326, 0.12499762831720197),
    ("sequence", 0.01, 3e-4, 4e-4, -0.0003801767853242044, 0.12501982321467572, 0.0),
    ("sequence", 0.01, 0.2, 0.28, -0.004918657098409662, 1.2530627381471482, 0.1247630543274234),
    ("sequence", 1.0, 3e-4, 4e-4, 0.0015979636025353905, 0.12699796360253537, 0.0),
    ("sequence", 1.0, 0.2, 0.28, -0.22957474317595578, 0.830747799776651, 0.10339714117445305),
    ("token", 1e-4, 3e-4, 4e-4, -4.9020020478240944e-05, 1.2500304462780996, 0.1250000553212371),
    ("token", 0.01, 3e-4, 4e-4, 0.0019072705377423116, 0.48430591547393104, 0.12500553224490438),
    ("token", 0.01, 0.2, 0.28, -0.004908329118747334, 1.2530852542315887, 0.12500553224490438),
    ("token", 1.0, 0.2, 0.28, 0.10230609819031233, 0.6814048022840649, 0.12555443823161705),
]


def _wave(scale):
    i, t = torch.arange(4, dtype=torch.float64)[:, None], torch.arange(5, dtype=torch.float64)[None]
    old = -1 - torch.sin(5 * i + t).abs()
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0], [1, 1, 1, 1, 0]])
    advantages = torch.tensor([1.0, -0.5, 1.5, -2.0], dtype=torch.float64)
    return old + scale * torch.cos(3 * i + 2 * t), old, mask, advantages


@pytest.mark.parametrize(("level", "scale", "low", "high", "loss", "absolute", "entry"), TRL)
def test_agrees_with_trl(level, scale, low, high, loss, absolute, entry):
    logp, old, mask, advantages = _wave(scale)
    logp.requires_grad_()
    out = gspo_loss(logp, old, mask, advantages, epsilon=low, epsilon_high=high, level=level)
    out.loss.backward()
    assert out.loss.item() == pytest.approx(loss, rel=1e-9, abs=1e-15)
    assert logp.grad.abs().sum().item() == pytest.approx(absolute, rel=1e-12)
    assert logp.grad[3, 1].item() == pytest.approx(entry, rel=1e-12, abs=1e-15)


def test_unknown_level_is_named():
    x = torch.zeros(1, 1)
    with pytest.raises(ValueError, match=r"'word'.*sequence, token"):
        gspo_loss(x, x, x, x[0], epsilon=EPS, epsilon_high=EPS_HIGH, level="word")


def test_advantages_by_hand():
    advantages, flat = group_advantages([[1, 0, 0, 0], [1, 1, 1, None], [0.5, None, 1.0, None], [None, 1]])
    # mean 1/4, sample variance 3/4 * 1/3 = 1/4, so the deviation is 1/2
    assert advantages[0] == pytest.approx([0.75 / 0.5001] + [-0.25 / 0.5001] * 3, rel=1e-12)
    assert advantages[1] == [0.0, 0.0, 0.0, None]
    std = math.sqrt(0.125)
    assert advantages[2][0] == pytest.approx(-0.25 / (std + 1e-4), rel=1e-12)
    assert advantages[2][1] is None
    assert advantages[3] == [None, 0.0]
    assert flat == [False, True, False, True]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.none() | st.floats(0, 1, width=32), min_size=1, max_size=12))
def test_advantages_sum_to_zero_and_ignore_missing_rewards(rewards):
    (advantages,), (flat,) = group_advantages([rewards])
    known = [a for a in advantages if a is not None]
    assert [a is None for a in advantages] == [r is None for r in rewards]
    assert sum(known) == pytest.approx(0.0, abs=1e-6)
    assert flat == (len({r for r in rewards if r is not None}) < 2)
    without = group_advantages([[r for r in rewards if r is not None]])[0][0]
    assert known == without


def test_a_reward_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="finite"):
        group_advantages([[1.0, math.nan]])

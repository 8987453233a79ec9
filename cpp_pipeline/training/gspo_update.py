"""The training pass of one GSPO generation: mini-batches, micro-batches, optimiser steps.

Belongs here: from judged rollouts to changed weights and the figures of the pass.
Does not belong here: sampling and judging (`gspo_rollout`), files and flags (`gspo`).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import torch
from torch import Tensor
from transformers import PreTrainedModel

from cpp_pipeline.training.gspo_logprobs import (
    MICRO_TOKENS,
    TokenRow,
    completion_logprobs,
    frozen_logprobs,
    micro_batches,
)
from cpp_pipeline.training.gspo_loss import group_advantages, gspo_loss
from cpp_pipeline.training.gspo_rollout import Rollout

QUANTILES = (0.05, 0.5, 0.95)


@dataclass(frozen=True)
class UpdateConfig:
    """Objective and optimiser settings of the training pass."""

    epsilon: float
    epsilon_high: float
    steps_per_generation: int
    level: str = "sequence"
    grad_clip: float = 1.0
    micro_tokens: int = MICRO_TOKENS["cpu"]


@dataclass(frozen=True)
class Sample:
    """A distinct completion of a group with its advantage, and how many rollouts gave it."""

    row: TokenRow
    old_logp: tuple[float, ...]
    advantage: float
    count: int


@dataclass
class UpdateStats:
    """Figures of a training pass, one entry per rollout or per step."""

    log_ratios: list[float] = field(default_factory=list)
    clipped: list[bool] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    grad_norms: list[float] = field(default_factory=list)
    first_gaps: list[float] = field(default_factory=list)
    """|mean log-ratio| of the sequences of the first mini-batch, whose weights are the sampler's"""

    def metrics(self) -> dict[str, float]:
        """Means and quantiles; empty after a pass without any step."""
        if not self.losses:
            return {"optimizer_steps": 0}
        ratios = torch.tensor(self.log_ratios, dtype=torch.float64).exp()
        spread = torch.quantile(ratios, torch.tensor(QUANTILES, dtype=torch.float64)).tolist()
        return {
            "optimizer_steps": len(self.losses),
            "loss": sum(self.losses) / len(self.losses),
            "grad_norm": max(self.grad_norms),
            "clip_fraction": sum(self.clipped) / len(self.clipped),
            "logp_gap": max(self.first_gaps),
            **{f"ratio_q{round(q * 100):02}": v for q, v in zip(QUANTILES, spread, strict=True)},
        }


def live_groups(rollouts: Sequence[Rollout]) -> tuple[list[list[Sample]], float]:
    """Groups that teach something, as distinct completions with advantages.

    Rollouts without a reward take no part in their group's mean and are left out, as is every group
    of zero variance.

    Returns
    -------
    groups, zero_variance_share
    """
    members: dict[int, list[Rollout]] = {}
    for rollout in rollouts:
        members.setdefault(rollout.group, []).append(rollout)
    advantages, flat = group_advantages([[r.reward for r in group] for group in members.values()])
    kept: list[list[Sample]] = []
    for group, values, useless in zip(members.values(), advantages, flat, strict=True):
        if not useless:
            kept.append(_distinct(group, values))
    return kept, sum(flat) / len(flat)


def _distinct(group: Sequence[Rollout], advantages: Sequence[float | None]) -> list[Sample]:
    """Equal completions of a group have equal rewards, hence equal terms: one row with a weight."""
    found: dict[TokenRow, Sample] = {}
    for rollout, advantage in zip(group, advantages, strict=True):
        if advantage is None:
            continue
        before = found.get(rollout.row)
        count = 1 if before is None else before.count + 1
        found[rollout.row] = Sample(rollout.row, rollout.old_logp, advantage, count)
    return list(found.values())


def mini_batches(groups: Sequence[list[Sample]], steps: int, seed: int, generation: int) -> list[list[Sample]]:
    """Groups in random order, cut into `steps` parts that differ by one group at most.

    Groups stay whole, so that the advantages of each mini-batch sum to zero. With fewer groups than
    steps there are fewer mini-batches.
    """
    order = list(groups)
    random.Random(f"gspo-batches:{seed}:{generation}").shuffle(order)
    bounds = [len(order) * i // steps for i in range(steps + 1)]
    parts = [order[a:b] for a, b in pairwise(bounds) if b > a]
    return [[sample for group in part for sample in group] for part in parts]


def with_trainer_logprobs(
    model: PreTrainedModel, batches: Sequence[Sequence[Sample]], micro_tokens: int
) -> tuple[list[list[Sample]], float]:
    """The same mini-batches with old log-probabilities from the trainer's forward pass.

    Needed where sampler and trainer round differently (bfloat16): the ratio must start at 1.

    Returns
    -------
    batches, gap
        `gap` is the largest difference from the sampler's, as nats a token of a sequence.
    """
    samples = [sample for batch in batches for sample in batch]
    found = frozen_logprobs(model, [sample.row for sample in samples], micro_tokens)
    gap = max(abs(sum(new) - sum(sample.old_logp)) / len(new) for sample, new in zip(samples, found, strict=True))
    values = iter(found)
    return [[replace(sample, old_logp=next(values)) for sample in batch] for batch in batches], gap


def train_pass(
    model: PreTrainedModel,
    optimizer: torch.optim.Optimizer,
    batches: Sequence[Sequence[Sample]],
    config: UpdateConfig,
) -> UpdateStats:
    """One optimiser step per mini-batch; changes the model and the optimiser in place."""
    stats = UpdateStats()
    for number, batch in enumerate(batches):
        optimizer.zero_grad(set_to_none=True)
        loss = 0.0
        rows = sum(sample.count for sample in batch)
        for part in micro_batches([s.row for s in batch], config.micro_tokens):
            loss += _accumulate(model, [batch[i] for i in part], rows, config, stats, first=number == 0)
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.grad_clip)
        if not torch.isfinite(norm):
            raise FloatingPointError(
                f"mini-batch {number} has gradient norm {float(norm)}: lower --lr, or check the start weights"
            )
        optimizer.step()
        stats.losses.append(loss)
        stats.grad_norms.append(float(norm))
    return stats


def _accumulate(
    model: PreTrainedModel,
    samples: Sequence[Sample],
    rows: int,
    config: UpdateConfig,
    stats: UpdateStats,
    *,
    first: bool,
) -> float:
    """Add the gradient of one micro-batch; its share of the mini-batch's loss."""
    logp, mask = completion_logprobs(model, [s.row for s in samples])
    out = gspo_loss(
        logp,
        _padded([s.old_logp for s in samples], logp),
        mask,
        logp.new_tensor([s.advantage for s in samples]),
        epsilon=config.epsilon,
        epsilon_high=config.epsilon_high,
        rows=rows,
        weights=logp.new_tensor([s.count for s in samples]),
        level=config.level,
    )
    out.loss.backward()  # type: ignore[no-untyped-call]
    counts = [s.count for s in samples]
    for count, ratio, clipped in zip(counts, out.log_ratio.tolist(), out.clipped.tolist(), strict=True):
        stats.log_ratios += [ratio] * count
        stats.clipped += [clipped] * count
        if first:
            stats.first_gaps.append(abs(ratio))
    return float(out.loss.detach())


def _padded(values: Sequence[Sequence[float]], like: Tensor) -> Tensor:
    width = like.shape[1]
    return like.new_tensor([[*row, *[0.0] * (width - len(row))] for row in values])

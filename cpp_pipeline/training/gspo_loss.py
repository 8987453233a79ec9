"""The GSPO objective as pure functions of tensors.

Belongs here: importance ratio, clipped loss and group advantages of Group Sequence Policy
Optimization (arXiv 2507.18071). Does not belong here: sampling, judging, optimiser steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

LEVELS = ("sequence", "token")
STD_FLOOR = 1e-4
"""added to the standard deviation of a group, so that a nearly constant group stays finite"""


@dataclass(frozen=True)
class PolicyLoss:
    """Loss of one batch and what happened in it.

    `loss` is a scalar with a graph; `log_ratio` [rows] is the mean log-ratio of each sequence and
    `clipped` [rows] marks sequences (token level: any token) whose gradient the clipping removed;
    both are detached.
    """

    loss: Tensor
    log_ratio: Tensor
    clipped: Tensor


def sequence_log_ratio(logp: Tensor, old_logp: Tensor, mask: Tensor) -> Tensor:
    """Mean over the tokens of each row of log pi(y_t) - log pi_old(y_t) (log of eq. 7).

    All arguments are [rows, tokens]; masked positions may hold anything, infinities included.
    A fully masked row gives 0, the logarithm of ratio 1.
    """
    mask = mask.bool()
    difference = torch.where(mask, logp, 0.0) - torch.where(mask, old_logp, 0.0)
    return difference.sum(-1) / mask.sum(-1).clamp(min=1)


def gspo_loss(
    logp: Tensor,
    old_logp: Tensor,
    mask: Tensor,
    advantages: Tensor,
    *,
    epsilon: float,
    epsilon_high: float,
    rows: float | None = None,
    weights: Tensor | None = None,
    level: str = "sequence",
) -> PolicyLoss:
    """Clipped surrogate -mean(min(s A, clip(s, 1 - epsilon, 1 + epsilon_high) A)) (eq. 5 to 7).

    Parameters
    ----------
    logp, old_logp, mask
        [rows, tokens]; log-probabilities in nats of the completion's tokens, and which count.
    advantages
        [rows].
    rows
        Denominator of the mean; give the rows of the whole mini-batch when `logp` is a
        micro-batch of it. By default the (weighted) number of rows that are not fully masked.
    weights
        [rows]; how many equal rollouts a row stands for, by default 1.
    level
        `sequence`: s = exp(mean log-ratio of the row), the paper's ratio. `token`: a ratio per
        token, averaged in its row (GRPO), for comparison.

    Fully masked rows add nothing to the sum and are not counted in the denominator.
    """
    if level not in LEVELS:
        raise ValueError(f"importance sampling level {level!r}: choose one of {', '.join(LEVELS)}")
    mask = mask.bool()
    log_ratio = sequence_log_ratio(logp, old_logp, mask)
    tokens = mask.sum(-1)
    live = tokens > 0
    if level == "sequence":
        per_row, clipped = _clipped_surrogate(log_ratio, advantages, epsilon, epsilon_high)
    else:
        difference = torch.where(mask, logp, 0.0) - torch.where(mask, old_logp, 0.0)
        per_token, off = _clipped_surrogate(difference, advantages[:, None], epsilon, epsilon_high)
        per_row = torch.where(mask, per_token, 0.0).sum(-1) / tokens.clamp(min=1)
        clipped = (off & mask).any(-1)
    share = live.to(logp.dtype) if weights is None else live * weights.to(logp.dtype)
    denominator = float(share.sum()) if rows is None else rows
    loss = (torch.where(live, per_row, 0.0) * share).sum() / max(denominator, 1.0)
    return PolicyLoss(loss, log_ratio.detach(), clipped & live)


def _clipped_surrogate(
    log_ratio: Tensor, advantages: Tensor, epsilon: float, epsilon_high: float
) -> tuple[Tensor, Tensor]:
    """-min(s A, clip(s) A), and where the clipped branch is the smaller one (no gradient)."""
    ratio = torch.exp(log_ratio)
    free = ratio * advantages
    held = ratio.clamp(1 - epsilon, 1 + epsilon_high) * advantages
    return -torch.minimum(free, held), (held < free).detach()


def group_advantages(
    rewards: Sequence[Sequence[float | None]],
) -> tuple[list[list[float | None]], list[bool]]:
    """Rewards of each group as (r - mean) / (std + 1e-4), with the sample standard deviation (eq. 6).

    A reward of None (no verdict) stays None and takes no part in mean and deviation.

    Returns
    -------
    advantages, zero_variance
        `zero_variance[g]` marks a group that teaches nothing: all known rewards equal, or fewer
        than two of them. Its advantages are 0.
    """
    advantages: list[list[float | None]] = []
    zero_variance: list[bool] = []
    for group in rewards:
        known = np.array([r for r in group if r is not None], dtype=np.float64)
        if not np.isfinite(known).all():
            raise ValueError(f"rewards must be finite numbers or None, not {list(group)}")
        flat = known.size < 2 or bool(known.max() == known.min())
        zero_variance.append(flat)
        mean, scale = (0.0, 1.0) if flat else (float(known.mean()), float(known.std(ddof=1)) + STD_FLOOR)
        advantages.append([None if r is None else 0.0 if flat else (r - mean) / scale for r in group])
    return advantages, zero_variance

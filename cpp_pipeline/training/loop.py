"""The gradient step that base, SFT and CMake training share.

Belongs here: cross entropy over chosen targets, accumulation over micro-batches.
Does not belong here: which rows (`data`, `corpus.shards`), when to save (`common`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

from cpp_pipeline.models.build import autocast
from cpp_pipeline.models.optim import Optimizers
from cpp_pipeline.training.group import ALONE, Group

IGNORE = -100
"""target of a position without loss"""

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """Inputs and targets, both [rows, tokens]; `IGNORE` marks targets without loss.

    Rows are padded on the right, so causal attention alone keeps padding out of real positions.
    """

    inputs: Ids
    targets: Ids

    @property
    def target_tokens(self) -> int:
        """Number of targets that count."""
        return int((self.targets != IGNORE).sum())


@dataclass(frozen=True)
class StepResult:
    """Mean loss in nats per target token, norm of the whole gradient, number of target tokens."""

    loss: float
    grad_norm: float
    target_tokens: int


def loss_sum(model: PreTrainedModel, batch: Batch) -> Tensor:
    """Cross entropy summed over the targets that count, in nats, with its graph.

    The head is applied at those positions only.
    """
    device = model.model.embed_tokens.weight.device
    inputs = torch.from_numpy(batch.inputs).to(device)
    targets = torch.from_numpy(batch.targets).to(device)
    with autocast(device):
        hidden = model.model(input_ids=inputs, use_cache=False).last_hidden_state
        wanted = targets != IGNORE
        logits = model.lm_head(hidden[wanted])
    return functional.cross_entropy(logits.float(), targets[wanted], reduction="sum")


def train_step(
    model: PreTrainedModel,
    optimizer: Optimizers,
    micro_batches: Sequence[Batch],
    lr_multiplier: float,
    group: Group = ALONE,
) -> StepResult:
    """One update from the mean loss over all targets of the micro-batches.

    How rows are divided into micro-batches, and these among the processes of a group, changes memory and padding, not
    the objective. Every process is given all micro-batches and has the same weights afterwards.

    Raises
    ------
    ValueError
        When no target counts.
    """
    total = sum(b.target_tokens for b in micro_batches)
    if total == 0:
        raise ValueError("a batch without a single target token: are all rows padding?")
    optimizer.zero_grad()
    loss = 0.0
    for batch in group.share(micro_batches):
        if batch.target_tokens:
            part = loss_sum(model, batch) / total
            part.backward()  # type: ignore[no-untyped-call]
            loss += float(part.detach())
    group.add_gradients(model.parameters())
    loss = group.total(loss)
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    norm = float(torch.nn.utils.get_total_norm(gradients))
    optimizer.lr_multiplier = lr_multiplier
    optimizer.step()
    return StepResult(loss, norm, total)

"""Our training step on given rows: a worker of `model_training`.

Belongs here: calls of `training.loop` as the stages make them. Not here: figures.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel

from benchmarks.turns.ours_model import make_model, save_gradient
from cpp_pipeline.models.build import load_model
from cpp_pipeline.models.optim import Optimizers, make_optimizers
from cpp_pipeline.training.data import Example, micro_batches
from cpp_pipeline.training.loop import Batch, loss_sum, train_step

__all__ = ["gradient", "load", "make_model", "optimizer_step", "packed_step", "supervised_step"]

_MICRO_BATCH = 8
_LR_MULTIPLIER = 0.1


@dataclass
class _Loaded:
    model: PreTrainedModel
    optimizers: Optimizers


_loaded: _Loaded


def load(folder: str) -> None:
    """Read FOLDER/model."""
    global _loaded  # noqa: PLW0603 - a worker holds one model
    model = load_model(Path(folder) / "model", torch.device("cpu")).train()
    _loaded = _Loaded(model, make_optimizers(model))


def packed_step(rows: list[list[int]]) -> float:
    """A pretraining step on rows of one length; every token is a target. The loss."""
    return train_step(_loaded.model, _loaded.optimizers, [_packed(rows)], _LR_MULTIPLIER).loss


def supervised_step(rows: list[list[int]], answers: list[int]) -> float:
    """An SFT step; the loss is on the ids from `answers` on."""
    examples = [Example(tuple(ids), start) for ids, start in zip(rows, answers, strict=True)]
    return train_step(_loaded.model, _loaded.optimizers, micro_batches(examples, _MICRO_BATCH, 0), _LR_MULTIPLIER).loss


def gradient(rows: list[list[int]], file: str) -> float:
    """Mean loss of packed rows, forward and backward alone; the gradient in FILE, where one is named."""
    _loaded.optimizers.zero_grad()
    batch = _packed(rows)
    loss = loss_sum(_loaded.model, batch) / batch.target_tokens
    loss.backward()  # type: ignore[no-untyped-call]
    if file:
        save_gradient(_loaded.model, file)
    return float(loss.detach())


def optimizer_step() -> None:
    """Muon and Adam on the gradients that are there."""
    _loaded.optimizers.lr_multiplier = _LR_MULTIPLIER
    _loaded.optimizers.step()


def _packed(rows: list[list[int]]) -> Batch:
    ids = np.array(rows, dtype=np.int64)
    return Batch(np.ascontiguousarray(ids[:, :-1]), np.ascontiguousarray(ids[:, 1:]))

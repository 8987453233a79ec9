"""Our training pass of GSPO on given rollouts: a worker of `model_gspo`.

Belongs here: calls of `training.gspo_update` as the stage makes them. Not here: figures.
"""

from __future__ import annotations

import copy
import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from benchmarks.turns.ours_model import make_model, save_gradient
from cpp_pipeline.models.build import load_model
from cpp_pipeline.training.gspo import BETAS
from cpp_pipeline.training.gspo_logprobs import MICRO_TOKENS, TokenRow, frozen_logprobs
from cpp_pipeline.training.gspo_rollout import Rollout
from cpp_pipeline.training.gspo_update import Sample, UpdateConfig, live_groups, mini_batches, train_pass

__all__ = ["gradient", "load", "make_model", "training_pass"]


@dataclass
class _Loaded:
    model: PreTrainedModel
    weights: dict[str, Any]
    rollouts: list[Rollout]
    shifts: list[list[float]]
    config: UpdateConfig
    lr: float
    seed: int


_loaded: _Loaded


def load(folder: str, settings: dict[str, Any]) -> list[list[int]]:
    """Read FOLDER/model and FOLDER/rollouts.json; the rollouts, by number, of each mini-batch."""
    global _loaded  # noqa: PLW0603 - a worker holds one model
    model = load_model(Path(folder) / "model", torch.device("cpu"))
    given = json.loads((Path(folder) / "rollouts.json").read_text())
    rows = [TokenRow(tuple(r["prompt"]), tuple(r["completion"])) for r in given]
    old = frozen_logprobs(model, rows, MICRO_TOKENS["cpu"])  # what the sampler of a generation hands over
    rollouts = [
        Rollout(r["group"], row, logp, False, r["reward"], None) for r, row, logp in zip(given, rows, old, strict=True)
    ]
    config = UpdateConfig(settings["epsilon"], settings["epsilon_high"], settings["steps"])
    weights = copy.deepcopy(model.state_dict())
    shifts = [r["shift"] for r in given]
    _loaded = _Loaded(model, weights, rollouts, shifts, config, settings["lr"], settings["seed"])
    number = {row: n for n, row in enumerate(rows)}
    return [[number[sample.row] for sample in batch] for batch in _batches()]


def training_pass() -> list[float]:
    """From judged rollouts to changed weights, as after every generation; the loss of each mini-batch."""
    return train_pass(_loaded.model, _fresh(), _batches(), _loaded.config).losses


def gradient(file: str) -> float:
    """Loss of the first mini-batch with old log-probabilities shifted, its gradient in FILE."""
    shift = {r.row: s for r, s in zip(_loaded.rollouts, _loaded.shifts, strict=True)}
    batch = [
        replace(s, old_logp=tuple(a + b for a, b in zip(s.old_logp, shift[s.row], strict=True))) for s in _batches()[0]
    ]
    stats = train_pass(_loaded.model, _fresh(lr=0.0), [batch], replace(_loaded.config, grad_clip=math.inf))
    save_gradient(_loaded.model, file)
    return stats.losses[0]


def _batches() -> list[list[Sample]]:
    groups, _ = live_groups(_loaded.rollouts)
    return mini_batches(groups, _loaded.config.steps_per_generation, _loaded.seed, 0)


def _fresh(lr: float | None = None) -> torch.optim.Optimizer:
    """The weights as loaded, and an optimizer that has seen nothing."""
    _loaded.model.load_state_dict(_loaded.weights)
    lr = _loaded.lr if lr is None else lr
    return torch.optim.Adam(_loaded.model.parameters(), lr=lr, betas=BETAS, fused=True)

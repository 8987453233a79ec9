"""Our sampler on given prompts: a worker of `model_sampler`."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import PreTrainedModel

from benchmarks.turns.ours_model import make_model
from cpp_pipeline.models.build import load_model
from cpp_pipeline.models.sampling import sample

__all__ = ["generate", "load", "make_model"]

_model: PreTrainedModel


def load(folder: str) -> None:
    """Read FOLDER/model."""
    global _model  # noqa: PLW0603 - a worker holds one model
    _model = load_model(Path(folder) / "model", torch.device("cpu"))


def generate(
    prompts: list[list[int]], n: int, new_tokens: int, temperature: float, ends: list[int], seed: int
) -> list[list[int]]:
    """New ids of `n` completions of each prompt, without the end token, and `temperature` 0 for greedy."""
    found = sample(_model, prompts, n, new_tokens, temperature, ends, seed)
    return [completion.ids for group in found for completion in group]

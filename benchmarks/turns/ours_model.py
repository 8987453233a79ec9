"""A model to measure on: a random decoder of a preset's shape, as a Hugging Face folder that every peer can load.

Belongs here: making and reading it. Not here: what is measured.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn
from transformers.models.qwen3 import Qwen3ForCausalLM

from cpp_pipeline.corpus.tokenizer import train_tokenizer
from cpp_pipeline.models.build import qwen3_config, save_model
from cpp_pipeline.models.presets import preset


def make_model(folder: str, preset_name: str, seed: int) -> int:
    """Write FOLDER/model, its weights drawn by the library, so that no matrix is zero; the number of parameters."""
    tokenizer = Path(folder) / "tokenizer"
    shape = preset(preset_name).shape
    train_tokenizer(iter(["int main() { return 0; }\n"]), shape.vocab, tokenizer)
    torch.manual_seed(seed)
    model = Qwen3ForCausalLM(qwen3_config(shape, tokenizer))
    save_model(model, tokenizer, Path(folder) / "model")
    return sum(p.numel() for p in model.parameters())


def save_gradient(model: nn.Module, file: str) -> None:
    """All gradients as one vector of float32, parameters in the order of their names."""
    parts = [p.grad.reshape(-1) for _, p in sorted(model.named_parameters()) if p.grad is not None]
    np.save(file, torch.cat(parts).numpy())

"""A training step of nanochat's own model and optimizer: a worker of `model_training`, given a checkout of nanochat."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import torch

_held: dict[str, Any] = {}


def load(checkout: str, layers: int, width: int, heads: int, kv_heads: int, vocab: int, tokens: int) -> int:
    """Make a model of this shape; the number of its parameters."""
    sys.path.insert(0, checkout)
    gpt = importlib.import_module("nanochat.gpt")
    torch.manual_seed(0)
    config = gpt.GPTConfig(
        sequence_len=tokens, vocab_size=vocab, n_layer=layers, n_head=heads, n_kv_head=kv_heads, n_embd=width
    )
    model = gpt.GPT(config)
    model.init_weights()
    _held["model"], _held["optimizer"] = model, model.setup_optimizer()
    return sum(p.numel() for p in model.parameters())


def packed_step(rows: list[list[int]]) -> float:
    """A pretraining step on rows of one length."""
    ids = torch.tensor(rows)
    loss = _held["model"](ids[:, :-1], ids[:, 1:].contiguous())
    loss.backward()
    _held["optimizer"].step()
    _held["model"].zero_grad(set_to_none=True)
    return float(loss.detach())

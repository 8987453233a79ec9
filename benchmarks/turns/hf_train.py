"""The same training step as the documentation of transformers shows it: a worker of `model_training`.

A model that computes its own loss, AdamW over all parameters, the gradient clipped at 1 as the `Trainer` of the library
does. Rows of differing length are padded to the longest. Nothing of this project is in it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM

_IGNORE = -100
_held: dict[str, Any] = {}


def load(folder: str) -> None:
    """Read FOLDER/model."""
    model = AutoModelForCausalLM.from_pretrained(f"{folder}/model", dtype=torch.float32, attn_implementation="sdpa")
    blocks = [p for n, p in model.named_parameters() if p.ndim == 2 and ".layers." in n]
    others = [p for n, p in model.named_parameters() if not (p.ndim == 2 and ".layers." in n)]
    _held["model"] = model.train()
    _held["adamw"] = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    _held["muon"] = [torch.optim.Muon(blocks, lr=1e-4), torch.optim.AdamW(others, lr=1e-4, fused=True)]


def packed_step(rows: list[list[int]]) -> float:
    """A pretraining step on rows of one length."""
    return _step(*_packed(rows), None)


def supervised_step(rows: list[list[int]], answers: list[int]) -> float:
    """An SFT step on one padded batch; the loss is on the ids from `answers` on."""
    width = max(map(len, rows)) - 1
    inputs = torch.zeros((len(rows), width), dtype=torch.long)
    mask, targets = inputs.clone(), torch.full_like(inputs, _IGNORE)
    for at, (ids, start) in enumerate(zip(rows, answers, strict=True)):
        inputs[at, : len(ids) - 1] = torch.tensor(ids[:-1])
        mask[at, : len(ids) - 1] = 1
        targets[at, start - 1 : len(ids) - 1] = torch.tensor(ids[start:])
    return _step(inputs, targets, mask)


def gradient(rows: list[list[int]], file: str) -> float:
    """Mean loss of packed rows, forward and backward alone; the gradient in FILE, where one is named."""
    model = _held["model"]
    model.zero_grad()
    loss = _backward(*_packed(rows), None)
    if file:
        parts = [p.grad.reshape(-1) for _, p in sorted(model.named_parameters()) if p.grad is not None]
        np.save(file, torch.cat(parts).numpy())
    return loss


def optimizer_step() -> None:
    """torch's own Muon for the matrices of the blocks, AdamW for the rest, on the gradients that are there."""
    for optimizer in _held["muon"]:
        optimizer.step()


def _packed(rows: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.tensor(rows)
    return ids[:, :-1], ids[:, 1:].contiguous()


def _step(inputs: torch.Tensor, targets: torch.Tensor, mask: torch.Tensor | None) -> float:
    model, optimizer = _held["model"], _held["adamw"]
    optimizer.zero_grad()
    loss = _backward(inputs, targets, mask)
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss


def _backward(inputs: torch.Tensor, targets: torch.Tensor, mask: torch.Tensor | None) -> float:
    loss = _held["model"](input_ids=inputs, attention_mask=mask, labels=targets, shift_labels=targets).loss
    loss.backward()
    return float(loss.detach())

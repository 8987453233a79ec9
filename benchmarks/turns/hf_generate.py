"""The same by `generate` of transformers: a worker of `model_sampler`, with nothing of this project."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoModelForCausalLM

_PAD = 0
_held: dict[str, Any] = {}


def load(folder: str) -> None:
    """Read FOLDER/model."""
    model = AutoModelForCausalLM.from_pretrained(f"{folder}/model", dtype=torch.float32, attn_implementation="sdpa")
    _held["model"] = model.train(False)


@torch.inference_mode()
def generate(
    prompts: list[list[int]], n: int, new_tokens: int, temperature: float, ends: list[int], seed: int, cache: str
) -> list[list[int]]:
    """New ids of `n` completions of each prompt, without the end token; `cache` is generate's implementation."""
    torch.manual_seed(seed)
    width = max(map(len, prompts))
    ids = torch.tensor([[_PAD] * (width - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    greedy = temperature == 0
    drawing = {} if greedy else {"temperature": temperature, "top_k": 0, "top_p": 1.0}
    out = _held["model"].generate(
        input_ids=ids,
        attention_mask=mask,
        do_sample=not greedy,
        num_return_sequences=1 if greedy else n,
        max_new_tokens=new_tokens,
        eos_token_id=ends or None,
        pad_token_id=_PAD,
        cache_implementation=cache or None,
        **drawing,
    )
    return [_until(row, set(ends)) for row in out[:, width:].tolist()]


def _until(row: list[int], ends: set[int]) -> list[int]:
    stop = next((at for at, token in enumerate(row) if token in ends), len(row))
    return row[:stop]

"""Log-probabilities of completions under a model, without wasted padding.

Belongs here: rows of token ids -> batches -> log-probability per completion token; used by GSPO
and by preference training. Does not belong here: objectives and optimiser steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

from cpp_pipeline.models.build import autocast

MICRO_TOKENS = {"cpu": 2048, "cuda": 32_768}
"""padded tokens in one forward and backward pass by device; bounds the memory of a step (on a CPU,
more tokens only push the activations out of its caches)"""


@dataclass(frozen=True)
class TokenRow:
    """A prompt and its completion as token ids; the completion ends with eos when the model ended it."""

    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]

    @property
    def tokens(self) -> int:
        """Length of prompt and completion."""
        return len(self.prompt_ids) + len(self.completion_ids)


def micro_batches(rows: Sequence[TokenRow], max_tokens: int) -> list[list[int]]:
    """Indices of `rows` in batches of at most `max_tokens` padded tokens, rows of like length together.

    A row longer than `max_tokens` gets a batch of its own. Every index appears once.
    """
    order = sorted(range(len(rows)), key=lambda i: (rows[i].tokens, i))
    batches: list[list[int]] = []
    for i in order:
        # Ascending lengths: the row that comes now sets the padded width of its batch.
        if batches and (len(batches[-1]) + 1) * rows[i].tokens <= max_tokens:
            batches[-1].append(i)
        else:
            batches.append([i])
    return batches


def completion_logprobs(model: PreTrainedModel, rows: Sequence[TokenRow]) -> tuple[Tensor, Tensor]:
    """Log-probability in nats of each completion token given what precedes it.

    Rows are padded on the right, so the causal mask alone keeps padding out of every real token; the
    head is applied to the positions that predict completion tokens only.

    Returns
    -------
    logp, mask
        [rows, longest completion], fp32 with a graph, and bool. Masked positions hold 0.

    Raises
    ------
    ValueError
        If a prompt is empty: nothing would predict the first token.
    """
    if any(not row.prompt_ids for row in rows):
        raise ValueError("a row without prompt tokens has no distribution for its first token")
    device = model.device
    prompt = torch.tensor([len(row.prompt_ids) for row in rows])
    completion = torch.tensor([len(row.completion_ids) for row in rows])
    width = max(row.tokens for row in rows)
    ids = torch.tensor(
        [[*row.prompt_ids, *row.completion_ids, *[0] * (width - row.tokens)] for row in rows], device=device
    )
    steps = torch.arange(int(completion.max()))
    mask = steps < completion[:, None]
    row_index, step_index = mask.nonzero(as_tuple=True)
    position = (prompt[row_index] + step_index).to(device)
    row_index, mask = row_index.to(device), mask.to(device)
    with autocast(device):
        hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        logits = model.get_output_embeddings()(hidden[row_index, position - 1])  # type: ignore[no-untyped-call]
    flat = -functional.cross_entropy(logits.float(), ids[row_index, position], reduction="none")
    return torch.zeros(mask.shape, device=device).masked_scatter(mask, flat), mask


@torch.no_grad()
def frozen_logprobs(model: PreTrainedModel, rows: Sequence[TokenRow], max_tokens: int) -> list[tuple[float, ...]]:
    """Log-probability of each completion token of each row, without a graph, in micro-batches."""
    found: list[tuple[float, ...]] = [()] * len(rows)
    for batch in micro_batches(rows, max_tokens):
        logp, _ = completion_logprobs(model, [rows[i] for i in batch])
        for i, values in zip(batch, logp.tolist(), strict=True):
            found[i] = tuple(values[: len(rows[i].completion_ids)])
    return found

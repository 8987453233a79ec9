"""Batched sampling of completions from a decoder.

Belongs here: prefill, choice of tokens, retirement of finished rows.
Does not belong here: arithmetic of the blocks (`decoder`), text and tokenizers (`corpus`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from transformers import PreTrainedModel

from cpp_pipeline.models.decoder import Decoder

ROWS_AT_ONCE = {"cpu": 256, "cuda": 1024}
CACHE_BYTES = {"cpu": 2**29, "cuda": 16 * 2**30}

Counters = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Completion:
    """One sampled answer.

    `ids` are the new tokens without the end token; `logprobs` are the model's log-probabilities, at
    temperature 1, of every generated token, the end token included when there was one; `truncated`
    tells that the limit of new tokens came first.
    """

    ids: list[int]
    logprobs: list[float]
    truncated: bool


@dataclass(frozen=True)
class _Row:
    """One sample to draw: which prompt and which of its samples."""

    prompt: int
    sample: int


def counter_key(seed: int, prompt_key: str, sample: int) -> int:
    """64 bits that name a row: the same for the same arguments, whatever is sampled beside it."""
    text = f"{seed}|{sample}|{prompt_key}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def uniforms(keys: Counters, position: int) -> npt.NDArray[np.float64]:
    """One number in [0, 1) for each row's key at a token position.

    The finaliser of SplitMix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number
    generators") over key + (position + 1) times the golden gamma; the upper 53 bits are used.
    """
    z = keys + np.uint64(((position + 1) * 0x9E3779B97F4A7C15) % 2**64)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53


@torch.inference_mode()
def sample(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    n: int,
    max_new_tokens: int,
    temperature: float,
    eos_ids: Sequence[int],
    seed: int,
    prompt_keys: Sequence[str] | None = None,
) -> list[list[Completion]]:
    """Draw `n` completions of each prompt.

    Each token takes one uniform number, a hash of (seed, prompt key, sample index, position), through
    the inverse of the cumulative distribution. A completion therefore does not depend on what else is
    in the batch, up to the rounding of matrix products of another size.

    Parameters
    ----------
    prompts
        Token ids of each prompt, not empty.
    temperature
        0 means greedy; the `n` completions of a prompt are then equal.
    prompt_keys
        Stable names of the prompts, for the random numbers; default: their ids, so that a repeated
        prompt repeats its completions.

    Returns
    -------
    list
        For each prompt, in the given order, its `n` completions.

    Raises
    ------
    ValueError
        For an empty prompt, or one that leaves less than `max_new_tokens` of the model's context.
    """
    if n < 1 or max_new_tokens < 1 or temperature < 0:
        raise ValueError(f"n={n}, max_new_tokens={max_new_tokens} (at least 1), temperature={temperature} (>= 0)")
    if prompt_keys is not None and len(prompt_keys) != len(prompts):
        raise ValueError(f"{len(prompt_keys)} keys for {len(prompts)} prompts")
    _check_lengths(prompts, model.config.max_position_embeddings, max_new_tokens)
    if not prompts:
        return []
    drawn = 1 if temperature == 0 else n
    names = prompt_keys or [",".join(map(str, p)) for p in prompts]
    columns = max(map(len, prompts)) + max_new_tokens
    decoder = Decoder(model, columns)
    device = decoder.device.type
    limit = min(ROWS_AT_ONCE[device], CACHE_BYTES[device] // decoder.cache_bytes_per_row(columns))
    found: dict[_Row, Completion] = {}
    for rows in _chunks(prompts, drawn, max(1, limit)):
        keys = np.array([counter_key(seed, names[r.prompt], r.sample) for r in rows], dtype=np.uint64)
        batch = _Batch(decoder, [prompts[r.prompt] for r in rows], keys, max_new_tokens)
        found.update(zip(rows, batch.run(temperature, eos_ids), strict=True))
    return [[found[_Row(p, i % drawn)] for i in range(n)] for p in range(len(prompts))]


def _check_lengths(prompts: Sequence[Sequence[int]], context: int, max_new_tokens: int) -> None:
    for i, prompt in enumerate(prompts):
        if not 0 < len(prompt) <= context - max_new_tokens:
            raise ValueError(
                f"prompt {i} has {len(prompt)} tokens; 1 to {context - max_new_tokens} leave room for "
                f"{max_new_tokens} new tokens in a context of {context}"
            )


def _chunks(prompts: Sequence[Sequence[int]], n: int, limit: int) -> list[list[_Row]]:
    """Rows in batches of at most `limit`, prompts of similar length and the samples of one together."""
    order = sorted(range(len(prompts)), key=lambda p: (len(prompts[p]), list(prompts[p])))
    rows = [_Row(p, s) for p in order for s in range(n)]
    size = limit - limit % n if n <= limit else limit
    return [rows[i : i + size] for i in range(0, len(rows), size)]


class _Batch:
    """Rows that are generated together, prompts padded on the left to one length.

    Rows 0..active-1 are still running; when one ends, the last running row takes its place, so that
    the cache stays dense at the cost of copying one row.
    """

    def __init__(self, decoder: Decoder, prompts: list[Sequence[int]], keys: Counters, max_new_tokens: int) -> None:
        self.decoder = decoder
        self.keys = keys
        self.limit = max_new_tokens
        self.active = len(prompts)
        self.row_of = np.arange(len(prompts))
        self.length = max(map(len, prompts))
        distinct = list(dict.fromkeys(tuple(p) for p in prompts))
        place = {p: i for i, p in enumerate(distinct)}
        source = torch.tensor([place[tuple(p)] for p in prompts], device=decoder.device)
        padding = torch.tensor([self.length - len(p) for p in distinct], device=decoder.device)
        logits, prefilled = self._prefill(distinct, padding)
        self.logits = logits[source]
        self.cache = decoder.new_cache(len(prompts), self.length + max_new_tokens)
        self.cache[..., : self.length, :] = prefilled[:, :, source]
        self.padding = padding[source]
        column = torch.arange(self.length + max_new_tokens, device=decoder.device)
        hidden = column[None] < self.padding[:, None]
        self.mask: Tensor | None = None
        if bool(hidden.any()):
            self.mask = torch.zeros(hidden.shape, dtype=decoder.dtype, device=decoder.device)
            self.mask = self.mask.masked_fill(hidden, float("-inf"))[:, None, None]

    def _prefill(self, prompts: list[tuple[int, ...]], padding: Tensor) -> tuple[Tensor, Tensor]:
        """Logits after each distinct prompt, and the cache of their tokens."""
        decoder, length = self.decoder, self.length
        ids = torch.tensor([[0] * (length - len(p)) + list(p) for p in prompts], device=decoder.device)
        column = torch.arange(length, device=decoder.device)
        positions = (column[None] - padding[:, None]).clamp(min=0)
        seen = (column[None] <= column[:, None])[None] & (column[None, None] >= padding[:, None, None])
        seen |= torch.eye(length, dtype=torch.bool, device=decoder.device)  # padding sees itself: no NaN
        mask = torch.zeros(seen.shape, dtype=decoder.dtype, device=decoder.device)
        mask = mask.masked_fill(~seen, float("-inf"))[:, None]
        cache = decoder.new_cache(len(prompts), length)
        return decoder.forward(ids, positions, cache, 0, mask), cache

    def run(self, temperature: float, eos_ids: Sequence[int]) -> list[Completion]:
        """Generate until every row has ended or reached the limit; completions in the order of rows."""
        total = self.active
        ids = np.zeros((total, self.limit), dtype=np.int64)
        logprobs = np.zeros((total, self.limit), dtype=np.float64)
        lengths = np.full(total, self.limit)
        ended = np.zeros(total, dtype=bool)
        for step in range(self.limit):
            chosen, logp = self._choose(temperature, step)
            rows, tokens = self.row_of[: self.active], chosen.cpu().numpy()
            ids[rows, step], logprobs[rows, step] = tokens, logp.cpu().numpy()
            done = np.isin(tokens, list(eos_ids))
            lengths[rows[done]], ended[rows[done]] = step, True
            if step == self.limit - 1 or done.all():
                break
            self._advance(self._retire(chosen, done), step)
        return [
            Completion(ids[r, :k].tolist(), logprobs[r, : k + int(e)].tolist(), not e)
            for r, (k, e) in enumerate(zip(lengths.tolist(), ended.tolist(), strict=True))
        ]

    def _choose(self, temperature: float, step: int) -> tuple[Tensor, Tensor]:
        logits = self.logits.float()
        logp = logits.log_softmax(-1)
        if temperature == 0:
            chosen = logits.argmax(-1)
        else:
            tempered = logp if temperature == 1 else (logits / temperature).log_softmax(-1)
            cumulative = tempered.exp().to(torch.float64).cumsum(-1)
            u = torch.from_numpy(uniforms(self.keys[: self.active], step)).to(logits.device)
            target = (u * cumulative[:, -1])[:, None]
            chosen = torch.searchsorted(cumulative, target, right=True)[:, 0].clamp(max=logits.size(-1) - 1)
        return chosen, logp.gather(1, chosen[:, None])[:, 0]

    def _retire(self, chosen: Tensor, done: npt.NDArray[np.bool_]) -> Tensor:
        """Move running rows into the places of finished ones; the tokens of the rows that remain."""
        running = int((~done).sum())
        if running < self.active:
            holes = np.flatnonzero(done[:running])
            movers = running + np.flatnonzero(~done[running:])
            self.row_of[holes], self.keys[holes] = self.row_of[movers], self.keys[movers]
            to, origin = torch.from_numpy(holes).to(chosen.device), torch.from_numpy(movers).to(chosen.device)
            for tensor, rows_at in ((self.cache, 2), (self.padding, 0), (self.mask, 0), (chosen, 0)):
                if tensor is not None:
                    tensor.index_copy_(rows_at, to, tensor.index_select(rows_at, origin))
            self.active = running
        return chosen[:running]

    def _advance(self, chosen: Tensor, step: int) -> None:
        column = self.length + step
        mask = None if self.mask is None else self.mask[: self.active, ..., : column + 1]
        positions = (column - self.padding[: self.active])[:, None]
        cache = self.cache[:, :, : self.active]
        self.logits = self.decoder.forward(chosen[:, None], positions, cache, column, mask)

"""Supervised rows as token ids, and which rows a step takes.

Belongs here: encoding of instruction and response, skipping, weighted order, padding.
Does not belong here: packed pretraining rows (`corpus.shards`), the update (`loop`).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from tokenizers import Tokenizer

from cpp_pipeline.corpus.formats import EOT, chat_prompt
from cpp_pipeline.corpus.tokenizer import encode_plain, encode_with_specials, special_id
from cpp_pipeline.training.loop import IGNORE, Batch


@dataclass(frozen=True)
class Example:
    """Token ids of one row; the loss is on the ids from `answer_start` on."""

    ids: tuple[int, ...]
    answer_start: int


@dataclass(frozen=True)
class Supervised:
    """Encoded rows with their sampling weights, and how many rows were skipped as too long."""

    examples: tuple[Example, ...]
    weights: tuple[float, ...]
    skipped_long: int


def encode_chat(tokenizer: Tokenizer, instruction: str, response: str) -> Example:
    """Prompt and answer in chat format, the answer ended by `<EOT>`.

    The prompt's ids are those of the prompt alone, as in sampling.
    """
    prompt = encode_with_specials(tokenizer, chat_prompt(instruction))
    answer = [*encode_plain(tokenizer, response), special_id(tokenizer, EOT)]
    return Example((*prompt, *answer), len(prompt))


def read_supervised(path: Path, tokenizer: Tokenizer, max_tokens: int) -> Supervised:
    """Read `instruction`, `response` and, where present, `weight` from a parquet file.

    Rows of more than `max_tokens` tokens are skipped and counted, and so are rows of weight 0.

    Raises
    ------
    ValueError
        When columns are missing, a weight is negative or not finite, or no row is left.
    """
    frame = pl.scan_parquet(path)
    names = frame.collect_schema().names()
    missing = [c for c in ("instruction", "response") if c not in names]
    if missing:
        raise ValueError(f"{path}: columns {missing} are missing; it has {names}")
    if "weight" not in names:
        frame = frame.with_columns(weight=pl.lit(1.0))
    rows = frame.select("instruction", "response", "weight").collect()
    weights = rows["weight"].cast(pl.Float64).to_list()
    bad = next((i for i, w in enumerate(weights) if w is None or not 0 <= w < float("inf")), None)
    if bad is not None:
        raise ValueError(f"{path} row {bad}: weight {weights[bad]} is not a number >= 0")
    examples = [encode_chat(tokenizer, i, r) for i, r, _ in rows.iter_rows()]
    kept = [i for i, e in enumerate(examples) if len(e.ids) <= max_tokens and weights[i] > 0]
    if not kept:
        raise ValueError(f"{path}: none of {len(examples)} rows has a weight and fits {max_tokens} tokens")
    return Supervised(
        examples=tuple(examples[i] for i in kept),
        weights=tuple(weights[i] for i in kept),
        skipped_long=sum(len(e.ids) > max_tokens for e in examples),
    )


def row_indices(weights: tuple[float, ...], step: int, batch_size: int, seed: int) -> list[int]:
    """Rows of a step, drawn by weight: a pure function of its arguments.

    An epoch is as many draws as there are rows. It takes systematic sampling (one random offset, equal
    strides along the cumulative weights) in a random order: with equal weights each row comes exactly
    once an epoch, otherwise its count is within 1 of its share.
    """
    rows = len(weights)
    places = range(step * batch_size, (step + 1) * batch_size)
    return [int(_epoch(weights, seed, p // rows)[p % rows]) for p in places]


@functools.lru_cache(maxsize=4)
def _epoch(weights: tuple[float, ...], seed: int, epoch: int) -> npt.NDArray[np.int64]:
    rng = np.random.Generator(np.random.PCG64([seed, epoch]))
    cumulative = np.cumsum(np.asarray(weights, dtype=np.float64))
    strides = (np.arange(len(weights)) + rng.random()) * (cumulative[-1] / len(weights))
    drawn = np.minimum(np.searchsorted(cumulative, strides, side="right"), len(weights) - 1)
    return rng.permutation(drawn)


def micro_batches(examples: Sequence[Example], rows: int, pad_id: int) -> list[Batch]:
    """Examples in batches of at most `rows`, sorted by length so that little is padding."""
    ordered = sorted(examples, key=lambda e: len(e.ids))
    return [_pad(ordered[i : i + rows], pad_id) for i in range(0, len(ordered), rows)]


def _pad(examples: Sequence[Example], pad_id: int) -> Batch:
    width = max(len(e.ids) for e in examples) - 1
    inputs = np.full((len(examples), width), pad_id, dtype=np.int64)
    targets = np.full((len(examples), width), IGNORE, dtype=np.int64)
    for i, example in enumerate(examples):
        ids = np.asarray(example.ids, dtype=np.int64)
        inputs[i, : len(ids) - 1] = ids[:-1]
        targets[i, example.answer_start - 1 : len(ids) - 1] = ids[example.answer_start :]
    return Batch(inputs, targets)

"""Small real inputs for the tests of models and training: a tokenizer, texts, shards, supervised rows."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import polars as pl

from cpp_pipeline.corpus.formats import EOT, PAD
from cpp_pipeline.corpus.shards import write_shards
from cpp_pipeline.corpus.tokenizer import (
    encode_plain,
    load_tokenizer,
    special_id,
    tokenizer_sha256,
    train_tokenizer,
)
from cpp_pipeline.models.presets import SMOKE, Shape
from cpp_pipeline.problems.family import generate

VOCAB = 512
SMALL = dataclasses.replace(SMOKE.shape, vocab=VOCAB, context=256)
"""shape for tests of the model; scripts take the smoke preset"""


def family_rows() -> list[tuple[str, str]]:
    """(instruction, solution) of generated problems."""
    train, _ = generate(24, 1, seed=0)
    return [(row["instruction"], row["references"][0]) for row in train]


def make_tokenizer(folder: Path) -> Path:
    """Train a tokenizer of 512 tokens on generated problems."""
    texts = (text for row in family_rows() for text in row)
    train_tokenizer(texts, VOCAB, folder)
    return folder


def make_shards(folder: Path, tokenizer_folder: Path, seq_tokens: int = 48, rows: int = 40) -> Path:
    """Pack generated problems into rows of tokens; the last row ends in padding."""
    tokenizer = load_tokenizer(tokenizer_folder)
    eot, pad = special_id(tokenizer, EOT), special_id(tokenizer, PAD)
    stream: list[int] = []
    while len(stream) < (seq_tokens + 1) * rows:
        for instruction, code in family_rows():
            stream += [*encode_plain(tokenizer, f"// {instruction}\n{code}"), eot]
    block = np.array(stream[: (seq_tokens + 1) * rows], dtype=np.int64).reshape(rows, seq_tokens + 1)
    block[-1, seq_tokens // 2 :] = pad
    write_shards(
        iter(block),
        folder,
        seq_tokens=seq_tokens,
        vocab=VOCAB,
        pad_id=pad,
        tokenizer_sha256=tokenizer_sha256(tokenizer_folder),
    )
    return folder


def make_supervised(path: Path, weights: bool = True) -> Path:
    """A parquet of instruction, response and weight from generated problems."""
    rows = family_rows()
    frame = pl.DataFrame(
        {"instruction": [r[0] for r in rows], "response": [r[1] for r in rows], "weight": [1.0] * len(rows)}
    )
    (frame if weights else frame.drop("weight")).write_parquet(path)
    return path


def shape(**changes: int) -> Shape:
    """The small shape with some fields changed."""
    return dataclasses.replace(SMALL, **changes)  # type: ignore[arg-type]

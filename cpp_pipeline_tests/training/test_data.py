"""Encoding, order and padding of supervised rows."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cpp_pipeline.corpus.formats import EOT, chat_prompt, chat_text
from cpp_pipeline.corpus.tokenizer import decode, encode_with_specials, load_tokenizer, special_id
from cpp_pipeline.models.build import new_model
from cpp_pipeline.training.data import (
    Example,
    encode_chat,
    micro_batches,
    read_supervised,
    row_indices,
)
from cpp_pipeline.training.loop import IGNORE, loss_sum
from cpp_pipeline_tests.models.material import SMALL, family_rows, make_supervised, make_tokenizer


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer of 512 tokens."""
    return make_tokenizer(tmp_path_factory.mktemp("tokenizer"))


def test_chat_row_is_prompt_then_answer_then_end(tokenizer_folder: Path) -> None:
    tokenizer = load_tokenizer(tokenizer_folder)
    instruction, response = family_rows()[0]
    example = encode_chat(tokenizer, instruction, response)
    assert decode(tokenizer, example.ids) == chat_text(instruction, response)
    assert list(example.ids[: example.answer_start]) == encode_with_specials(tokenizer, chat_prompt(instruction))
    assert example.ids[-1] == special_id(tokenizer, EOT)


def test_an_answer_cannot_end_its_turn(tokenizer_folder: Path) -> None:
    tokenizer = load_tokenizer(tokenizer_folder)
    example = encode_chat(tokenizer, "say <EOT>", "a <EOT> b <|user|>")
    eot = special_id(tokenizer, EOT)
    assert [i for i, t in enumerate(example.ids) if t == eot] == [len(example.ids) - 1]


def test_reading_skips_long_rows_and_counts_them(tokenizer_folder: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(tokenizer_folder)
    path = make_supervised(tmp_path / "d.parquet")
    every = read_supervised(path, tokenizer, 10_000)
    assert every.skipped_long == 0 and len(every.examples) == len(family_rows())
    limit = sorted(len(e.ids) for e in every.examples)[10]
    some = read_supervised(path, tokenizer, limit)
    assert max(len(e.ids) for e in some.examples) == limit
    assert some.skipped_long == len(every.examples) - len(some.examples) > 0
    with pytest.raises(ValueError, match="none of 24 rows"):
        read_supervised(path, tokenizer, 3)


def test_reading_names_what_is_wrong(tokenizer_folder: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(tokenizer_folder)
    path = tmp_path / "d.parquet"
    pl.DataFrame({"instruction": ["a"], "answer": ["b"]}).write_parquet(path)
    with pytest.raises(ValueError, match=r"\['response'\] are missing"):
        read_supervised(path, tokenizer, 100)
    pl.DataFrame({"instruction": ["a", "b"], "response": ["c", "d"], "weight": [1.0, -1.0]}).write_parquet(path)
    with pytest.raises(ValueError, match="row 1: weight -1.0"):
        read_supervised(path, tokenizer, 100)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 40), st.integers(1, 17), st.integers(0, 1000))
def test_equal_weights_take_each_row_once_an_epoch(rows: int, batch: int, seed: int) -> None:
    weights = (0.3,) * rows
    steps = -(-3 * rows // batch)
    drawn = [i for s in range(steps) for i in row_indices(weights, s, batch, seed)][: 3 * rows]
    for epoch in range(3):
        assert sorted(drawn[epoch * rows : (epoch + 1) * rows]) == list(range(rows))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0.01, 10), min_size=2, max_size=30), st.integers(0, 1000))
def test_weighted_rows_come_within_one_of_their_share(weights: list[float], seed: int) -> None:
    rows = len(weights)
    counts = Counter(row_indices(tuple(weights), 0, rows, seed))
    for i, weight in enumerate(weights):
        assert abs(counts[i] - weight / sum(weights) * rows) < 1 + 1e-6


def test_the_order_is_a_function_of_seed_and_step() -> None:
    weights = tuple(float(i + 1) for i in range(50))
    assert row_indices(weights, 3, 8, 1) == row_indices(weights, 3, 8, 1)
    assert row_indices(weights, 3, 8, 1) != row_indices(weights, 3, 8, 2)
    assert row_indices(weights, 3, 8, 1) != row_indices(weights, 4, 8, 1)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=12), st.integers(1, 5))
def test_micro_batches_hold_every_answer_token_once(lengths: list[tuple[int, int]], rows: int) -> None:
    examples = [Example(tuple(range(10, 10 + p + a)), p) for p, a in lengths]
    batches = micro_batches(examples, rows, pad_id=0)
    assert sum(b.target_tokens for b in batches) == sum(a for _, a in lengths)
    assert all(len(b.inputs) <= rows for b in batches)
    for batch in batches:
        keep = batch.targets != IGNORE
        assert (batch.targets[keep] == batch.inputs[keep] + 1).all()  # ids count upwards
        assert (batch.inputs[keep] != 0).all()


def test_loss_is_that_of_the_answer_alone(tokenizer_folder: Path) -> None:
    tokenizer = load_tokenizer(tokenizer_folder)
    model = new_model(SMALL, tokenizer_folder, 0)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn(p.shape, generator=generator) * 0.1)
    examples = [encode_chat(tokenizer, i, r) for i, r in family_rows()[:5]]
    expected = 0.0
    for e in examples:
        with torch.no_grad():
            logp = model(torch.tensor([e.ids[:-1]])).logits[0].log_softmax(-1)
        expected -= sum(float(logp[t - 1, e.ids[t]]) for t in range(e.answer_start, len(e.ids)))
    for rows in (1, 2, 5):
        got = sum(float(loss_sum(model, b).detach()) for b in micro_batches(examples, rows, 0))
        assert got == pytest.approx(expected, rel=1e-5)

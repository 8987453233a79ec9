"""Log-probabilities of completions against a plain forward pass, and batches by length."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cpp_pipeline.training.gspo_logprobs import (
    TokenRow,
    completion_logprobs,
    frozen_logprobs,
    micro_batches,
)
from cpp_pipeline_tests.training.gspo_support import ANSWERS, SHIFTS, fresh, instruction, token_row


def _plain(model, row):
    ids = torch.tensor([[*row.prompt_ids, *row.completion_ids]])
    logp = model(input_ids=ids).logits.log_softmax(-1)[0]
    start = len(row.prompt_ids)
    return [logp[start + t - 1, token].item() for t, token in enumerate(row.completion_ids)]


def _rows(tokenizer):
    rows = [token_row(tokenizer, instruction(s), ANSWERS[s % 3]) for s in SHIFTS]
    return [*rows, TokenRow(rows[0].prompt_ids[:5], rows[1].completion_ids[:2])]


@torch.no_grad()
def test_equals_a_row_by_row_forward():
    model, tokenizer = fresh()
    rows = _rows(tokenizer)
    logp, mask = completion_logprobs(model, rows)
    assert mask.sum(-1).tolist() == [len(r.completion_ids) for r in rows]
    assert (logp[~mask] == 0).all()
    for i, row in enumerate(rows):
        torch.testing.assert_close(logp[i][mask[i]], torch.tensor(_plain(model, row)), rtol=1e-5, atol=1e-6)
    for max_tokens in (1, 64, 10_000):
        for values, row in zip(frozen_logprobs(model, rows, max_tokens), rows, strict=True):
            assert values == pytest.approx(_plain(model, row), rel=1e-5, abs=1e-6)


def test_the_gradient_is_that_of_the_plain_forward():
    model, tokenizer = fresh()
    rows = _rows(tokenizer)[:2]
    completion_logprobs(model, rows)[0].sum().backward()
    found = {n: p.grad.clone() for n, p in model.named_parameters()}
    model.zero_grad()
    for row in rows:
        ids = torch.tensor([[*row.prompt_ids, *row.completion_ids]])
        logp = model(input_ids=ids).logits.log_softmax(-1)[0, len(row.prompt_ids) - 1 : -1]
        logp.gather(1, torch.tensor(row.completion_ids)[:, None]).sum().backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad, rtol=1e-3, atol=1e-4, msg=name)


def test_an_empty_prompt_is_refused():
    model, _ = fresh()
    with pytest.raises(ValueError, match="without prompt"):
        completion_logprobs(model, [TokenRow((), (1, 2))])


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 60)), max_size=40), st.integers(1, 200))
def test_micro_batches_hold_every_row_once_within_the_limit(lengths, limit):
    rows = [TokenRow((1,) * p, (2,) * c) for p, c in lengths]
    batches = micro_batches(rows, limit)
    assert sorted(i for b in batches for i in b) == list(range(len(rows)))
    for batch in batches:
        padded = len(batch) * max(rows[i].tokens for i in batch)
        assert padded <= limit or len(batch) == 1

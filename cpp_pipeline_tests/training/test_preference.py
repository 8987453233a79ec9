"""Preference training: the loss by hand, what a step does, and whole runs."""

from __future__ import annotations

import json
import math

import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from cpp_pipeline.training.preference import (
    Pair,
    Reference,
    dpo_loss,
    main,
    parser,
    preference_step,
    read_pairs,
    references,
    train,
)
from cpp_pipeline_tests.training.gspo_support import ANSWERS, SHIFTS, checkpoint, fresh, instruction, token_row


def _pairs_file(path, rows=None):
    rows = rows if rows is not None else [(instruction(s), ANSWERS[1], ANSWERS[s % 2 * 2]) for s in SHIFTS]
    schema = {"instruction": pl.String, "chosen": pl.String, "rejected": pl.String}
    pl.DataFrame(rows, schema=schema, orient="row").write_parquet(path)
    return path


def _args(tmp_path, name, *more):
    data = _pairs_file(tmp_path / "pairs.parquet")
    flags = ["--data", data, "--checkpoint_path", checkpoint(), "--output", tmp_path / name, "--threads", 1]
    flags += ["--steps", 4, "--batch", 4, "--micro_pairs", 3, *more]
    return [str(f) for f in flags]


def test_loss_by_hand():
    chosen = torch.tensor([0.0, 2.0, -1.0], dtype=torch.float64)
    rejected = torch.tensor([0.0, -3.0, 1.5], dtype=torch.float64)
    expected = [math.log(2), math.log1p(math.exp(-0.2 * 5.0)), math.log1p(math.exp(0.2 * 2.5))]
    assert dpo_loss(chosen, rejected, 0.2).tolist() == pytest.approx(expected, rel=1e-14)
    chosen.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: dpo_loss(x, rejected, 0.2), (chosen,))


def test_a_step_prefers_the_chosen_answer():
    model, tokenizer = fresh()
    pairs = [
        Pair(token_row(tokenizer, instruction(s), ANSWERS[1]), token_row(tokenizer, instruction(s), ANSWERS[0]))
        for s in SHIFTS
    ]
    known = references(model, pairs, 256)
    batch = list(zip(pairs, known, strict=True))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    first = preference_step(model, optimizer, batch, 0.2, 4)
    assert first["loss"] == pytest.approx(math.log(2), abs=1e-5)
    assert first["chosen_log_ratio"] == pytest.approx(0, abs=1e-4)
    second = preference_step(model, optimizer, batch, 0.2, 4)
    assert second["loss"] < first["loss"]
    assert second["accuracy"] == 1.0
    assert second["chosen_log_ratio"] > second["rejected_log_ratio"]


def test_micro_batches_do_not_change_the_update():
    found = []
    for micro_pairs in (1, 6):
        model, tokenizer = fresh()
        batch = [
            (
                Pair(
                    token_row(tokenizer, instruction(s), ANSWERS[1]),
                    token_row(tokenizer, instruction(s), ANSWERS[0]),
                ),
                Reference(-3.0 - s, -4.0),
            )
            for s in SHIFTS
        ]
        sgd = torch.optim.SGD(model.parameters(), lr=0.1)
        metrics = preference_step(model, sgd, batch, 0.2, micro_pairs)
        found.append((metrics, torch.cat([p.detach().flatten() for p in model.parameters()])))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-4)
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-4, atol=1e-6)


def _weights(folder):
    return load_file(folder / "model.safetensors")


def test_an_interrupted_run_ends_with_the_same_weights(tmp_path, monkeypatch):
    whole = train(parser().parse_args(_args(tmp_path, "whole")))
    assert whole["steps"] == 4
    assert whole["metrics"]["pairs"] == len(SHIFTS)

    class Killed(BaseException):
        pass

    from cpp_pipeline.training import preference

    calls = []

    def dies_in_step_3(*args):
        calls.append(1)
        if len(calls) == 3:
            raise Killed
        return preference_step(*args)

    monkeypatch.setattr(preference, "preference_step", dies_in_step_3)
    args = _args(tmp_path, "cut", "--checkpoint_seconds", 0)
    with pytest.raises(Killed):
        main(args)
    assert not (tmp_path / "cut" / "result.json").exists()
    monkeypatch.undo()
    main(args)
    result = json.loads((tmp_path / "cut" / "result.json").read_text())
    assert result["weights_sha256"] == whole["weights_sha256"]
    assert (tmp_path / "cut" / "metrics.jsonl").read_text() == (tmp_path / "whole" / "metrics.jsonl").read_text()
    start, end = _weights(checkpoint()), _weights(tmp_path / "cut")
    assert any(not torch.equal(start[name], end[name]) for name in start)


def test_an_empty_table_says_what_to_do(tmp_path):
    _, tokenizer = fresh()
    with pytest.raises(ValueError, match="no preference pair.*--min-similarity"):
        read_pairs(_pairs_file(tmp_path / "p.parquet", []), tokenizer, 128)
    rows = [(instruction(0), ANSWERS[0], ANSWERS[1] * 9), (instruction(1), ANSWERS[1], ANSWERS[0])]
    read = read_pairs(_pairs_file(tmp_path / "p.parquet", rows), tokenizer, 60)
    assert (len(read.pairs), read.skipped_long) == (1, 1)
    pl.DataFrame({"instruction": ["a"]}).write_parquet(tmp_path / "p.parquet")
    with pytest.raises(ValueError, match="chosen.*missing"):
        read_pairs(tmp_path / "p.parquet", tokenizer, 60)

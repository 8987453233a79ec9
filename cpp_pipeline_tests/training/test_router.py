"""Training of the router: the shared prefix changes nothing, runs repeat, the folder loads."""

from __future__ import annotations

import itertools
import json
import math
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cpp_pipeline.agent.router_data import router_rows
from cpp_pipeline.training import router
from cpp_pipeline.training.router import (
    RouterShape,
    Rows,
    batch_indices,
    completion_loss,
    main,
    new_router,
    share_prefix,
)

SHAPE = RouterShape(layers=2, width=32, heads=2, ffn=64, vocab=64)


@given(
    st.lists(st.integers(0, 3), max_size=5),
    st.lists(st.tuples(st.lists(st.integers(0, 3), min_size=1), st.lists(st.integers(0, 3))), min_size=1),
)
def test_sharing_loses_nothing(common: list[int], rest: list[tuple[list[int], list[int]]]) -> None:
    prompts, responses = [common + p for p, _ in rest], [r for _, r in rest]
    rows = share_prefix(prompts, responses)
    for tail, start, prompt, response in zip(rows.tails, rows.starts, prompts, responses, strict=True):
        assert start >= 1
        assert rows.prefix + tail[:start] == prompt and tail[start:] == response


def test_loss_and_gradients_equal_those_of_whole_rows() -> None:
    model = new_router(SHAPE, pad=0, eos=1, bos=2, seed=0)
    generator = torch.Generator().manual_seed(0)
    draw = lambda n: torch.randint(3, 64, (n,), generator=generator).tolist()  # noqa: E731
    prefix = draw(20)
    rows = share_prefix([prefix + draw(n) for n in (3, 7, 5)], [draw(n) for n in (4, 1, 6)])
    assert len(rows.prefix) >= 20
    shift = len(rows.prefix)
    whole = Rows([], [rows.prefix + t for t in rows.tails], [s + shift for s in rows.starts])
    found = []
    for case in (rows, whole):
        model.zero_grad()
        loss = completion_loss(model, case, [0, 1, 2], pad=0)
        loss.backward()
        found.append((loss, {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}))
    (a, grads_a), (b, grads_b) = found
    torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
    assert grads_a.keys() == grads_b.keys()
    for name in grads_a:
        torch.testing.assert_close(grads_a[name], grads_b[name], rtol=1e-3, atol=1e-6)


def test_only_responses_count() -> None:
    model = new_router(SHAPE, pad=0, eos=1, bos=2, seed=0)
    rows = share_prefix([[5, 6, 7, 8], [5, 6, 9, 9]], [[10, 11], [12]])
    loss = completion_loss(model, rows, [0, 1], pad=0)
    expected = []
    for prompt, response in (([5, 6, 7, 8], [10, 11]), ([5, 6, 9, 9], [12])):
        logits = model(torch.tensor([prompt + response])).logits[0].log_softmax(-1)
        expected += [-logits[len(prompt) - 1 + i, t] for i, t in enumerate(response)]
    torch.testing.assert_close(loss, torch.stack(expected).mean(), rtol=1e-5, atol=1e-6)


@given(st.integers(1, 30), st.integers(1, 40), st.integers(0, 50), st.integers(0, 9))
def test_batches_cover_each_epoch_once(n: int, batch: int, first: int, seed: int) -> None:
    steps = range(first, first + 2 * n)
    drawn = [int(i) for s in steps for i in batch_indices(n, batch, s, seed)]
    assert len(drawn) == 2 * n * batch
    skip = -first * batch % n
    whole = [drawn[i : i + n] for i in range(skip, len(drawn) - n + 1, n)]
    assert whole and all(sorted(epoch) == list(range(n)) for epoch in whole)


def run(data: Path, folder: Path, *more: str) -> None:
    flags = ("--preset", "smoke", "--batch", "4", "--threads", "1", "--checkpoint_seconds", "0")
    main(["--data", str(data), "--output", str(folder), *flags, *more])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rows") / "router_sft.parquet"
    router_rows(60, seed=1).collect().write_parquet(path)
    return path


def test_runs_repeat_bit_for_bit_and_the_folder_is_a_stock_one(data: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    one, two = tmp_path / "one", tmp_path / "two"
    run(data, one, "--steps", "3")
    run(data, two, "--steps", "3")
    first, second = (json.loads((f / "result.json").read_text()) for f in (one, two))
    assert first["weights_sha256"] == second["weights_sha256"]
    assert (one / "metrics.jsonl").read_bytes() == (two / "metrics.jsonl").read_bytes()
    losses = [json.loads(line)["loss"] for line in (one / "metrics.jsonl").read_text().splitlines()]
    assert len(losses) == 3 and losses[-1] < losses[0]
    model = AutoModelForCausalLM.from_pretrained(one)
    tokenizer = AutoTokenizer.from_pretrained(one)
    assert type(model).__name__ == "Gemma3ForCausalLM"
    assert tokenizer.convert_ids_to_tokens(model.generation_config.eos_token_id) == [
        "<end_of_turn>",
        "<start_function_response>",
    ]
    with pytest.raises(FileExistsError, match="overwrite"):
        run(data, one, "--steps", "3")


def test_a_run_that_was_stopped_in_its_last_step_only_has_to_be_finished(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = itertools.count(1)

    def last_step_is_stopped(*args: Any, **kwargs: Any) -> torch.Tensor:
        if next(calls) == 3:
            signal.raise_signal(signal.SIGTERM)
        return completion_loss(*args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(router, "completion_loss", last_step_is_stopped)
        with pytest.raises(SystemExit):
            run(data, tmp_path / "stopped", "--steps", "3")
    run(data, tmp_path / "stopped", "--steps", "3")
    run(data, tmp_path / "whole", "--steps", "3")
    stopped, whole = (json.loads((tmp_path / f / "result.json").read_text()) for f in ("stopped", "whole"))
    assert math.isfinite(stopped["metrics"]["loss"])
    assert stopped["metrics"] == whole["metrics"]


def test_fine_tuning_starts_from_given_weights(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path / "start", "--steps", "1")
    run(data, tmp_path / "tuned", "--steps", "2", "--model", str(tmp_path / "start"))
    start, tuned = (json.loads((tmp_path / f / "result.json").read_text()) for f in ("start", "tuned"))
    assert tuned["config"]["model"] == start["weights_sha256"] != tuned["weights_sha256"]


def test_a_table_without_train_rows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.parquet"
    router_rows(1, 0).filter(split="eval").collect().write_parquet(path)
    with pytest.raises(ValueError, match="no row with split 'train'"):
        run(path, tmp_path / "out", "--steps", "1")

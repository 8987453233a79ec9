"""Runs that are interrupted, damaged, repeated or diverge."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from cpp_pipeline.models.build import load_model, new_model, weights_sha256
from cpp_pipeline.models.optim import Optimizers, make_optimizers
from cpp_pipeline.training.common import (
    Run,
    add_common_arguments,
    decay_half,
    decay_linear,
)
from cpp_pipeline.training.stage import TrainingDivergedError, start_process
from cpp_pipeline_tests.models.material import SMALL, make_tokenizer

STEPS = 9
TINY = dataclasses.replace(SMALL, layers=1, width=32, heads=1, head_dim=32, ffn=48)


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer of 512 tokens."""
    return make_tokenizer(tmp_path_factory.mktemp("tokenizer"))


class Attempt:
    """One attempt at a small run, as a script makes it."""

    def __init__(self, output: Path, tokenizer_folder: Path, *flags: str, config: dict[str, Any] | None = None):
        parser = argparse.ArgumentParser()
        add_common_arguments(parser)
        args = parser.parse_args(["--output", str(output), "--threads", "1", *flags])
        start_process(args)
        self.model = new_model(TINY, tokenizer_folder, args.seed)
        self.optimizer: Optimizers = make_optimizers(self.model)
        self.run = Run(
            args,
            stage="test",
            config={"seed": args.seed, **(config or {})},
            model=self.model,
            optimizer=self.optimizer,
            tokenizer_folder=tokenizer_folder,
            total_steps=STEPS,
        )

    def train(self, after: Callable[[int], object] = lambda step: None) -> dict[str, Any]:
        """Steps, `after(step)` before each is recorded, and the end."""
        with self.run as run:
            for step in run.steps():
                ids = torch.randint(0, 500, (2, 12), generator=torch.Generator().manual_seed(step))
                self.optimizer.zero_grad()
                loss = self.model(ids, labels=ids).loss
                loss.backward()
                self.optimizer.lr_multiplier = decay_half(step, STEPS, warmup=3)
                self.optimizer.step()
                after(step)
                run.record(step, {"loss": float(loss.detach())}, tokens=24)
            return run.finish({"loss": run.recent("loss", 3)})


def _kill_at(step: int, number: int = signal.SIGTERM) -> Callable[[int], object]:
    return lambda s: os.kill(os.getpid(), number) if s == step else None


def _steps(folder: Path, name: str) -> Iterator[int]:
    return (json.loads(line)["step"] for line in (folder / name).read_text().splitlines())


@pytest.fixture(scope="module")
def whole(tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("whole")
    Attempt(folder, tokenizer_folder).train()
    return folder


def test_finished_folder_is_stock_and_described(whole: Path, tokenizer_folder: Path) -> None:
    result = json.loads((whole / "result.json").read_text())
    assert result["stage"] == "test" and result["steps"] == STEPS and result["tokens"] == 24 * STEPS
    assert result["cpu_seconds"] > 0 and result["config"] == {"seed": 0}
    assert result["weights_sha256"] == weights_sha256(load_model(whole))
    assert AutoTokenizer.from_pretrained(str(whole)).eos_token == "<EOT>"
    assert AutoModelForCausalLM.from_pretrained(str(whole)).config.vocab_size == TINY.vocab
    assert not (whole / "state").exists() and not list(whole.glob("*.part*"))
    assert list(_steps(whole, "metrics.jsonl")) == list(range(STEPS))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("step", [0, 4, STEPS - 1])
def test_a_signal_saves_and_the_next_attempt_ends_bitwise_equal(
    whole: Path, tokenizer_folder: Path, tmp_path: Path, step: int, number: int, code: int
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as left:
        Attempt(tmp_path, tokenizer_folder).train(_kill_at(step, number))
    assert left.value.code == code
    assert signal.getsignal(signal.SIGTERM) == before
    assert not (tmp_path / "result.json").exists()
    spent = json.loads((tmp_path / "timing.jsonl").read_text().splitlines()[-1])["cpu_seconds"]
    result = Attempt(tmp_path, tokenizer_folder).train()
    expected = json.loads((whole / "result.json").read_text())
    for key in ("weights_sha256", "tokens", "steps", "metrics"):
        assert result[key] == expected[key]
    assert result["cpu_seconds"] > spent
    assert (tmp_path / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()
    assert list(_steps(tmp_path, "timing.jsonl")) == list(range(STEPS))


class Crash(Exception):
    """Stands for a sudden end."""


def _crash_at(step: int) -> Callable[[int], None]:
    def after(s: int) -> None:
        if s == step:
            raise Crash

    return after


def test_a_crash_loses_only_what_came_after_the_newest_checkpoint(
    whole: Path, tokenizer_folder: Path, tmp_path: Path
) -> None:
    def save_at_two(step: int) -> None:
        attempt.run.checkpoint_seconds = 0.0 if step in (0, 1, 2) else 1e9
        _crash_at(6)(step)

    attempt = Attempt(tmp_path, tokenizer_folder)
    with pytest.raises(Crash):
        attempt.train(save_at_two)
    assert [f.name for f in sorted((tmp_path / "state").iterdir())] == ["step-00000002", "step-00000003"]
    assert list(_steps(tmp_path, "metrics.jsonl")) == [0, 1, 2, 3, 4, 5]
    again = Attempt(tmp_path, tokenizer_folder)
    assert again.run.done_steps == 3
    result = again.train()
    assert result["weights_sha256"] == json.loads((whole / "result.json").read_text())["weights_sha256"]
    assert list(_steps(tmp_path, "metrics.jsonl")) == list(range(STEPS))
    assert list(_steps(tmp_path, "timing.jsonl")) == [0, 1, 2, 3, 4, 5, 3, 4, 5, 6, 7, 8]


def test_a_damaged_checkpoint_is_passed_over(
    whole: Path, tokenizer_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Crash):
        Attempt(tmp_path, tokenizer_folder, "--checkpoint_seconds", "0").train(_crash_at(5))
    newest = tmp_path / "state" / "step-00000005" / "state.pt"
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(data)
    (tmp_path / "state" / ".part-00000006").mkdir()
    again = Attempt(tmp_path, tokenizer_folder)
    assert again.run.done_steps == 4
    assert "step-00000005: damaged checkpoint passed over" in capsys.readouterr().err
    assert again.train()["weights_sha256"] == json.loads((whole / "result.json").read_text())["weights_sha256"]


def test_another_configuration_starts_over(tokenizer_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(Crash):
        Attempt(tmp_path, tokenizer_folder, "--checkpoint_seconds", "0").train(_crash_at(5))
    assert Attempt(tmp_path, tokenizer_folder, config={"batch": 3}).run.done_steps == 0
    assert (tmp_path / "metrics.jsonl").read_bytes() == b""


def test_a_finished_folder_is_refused_unless_overwritten(tokenizer_folder: Path, tmp_path: Path) -> None:
    first = Attempt(tmp_path, tokenizer_folder).train()
    with pytest.raises(FileExistsError, match="--overwrite"):
        Attempt(tmp_path, tokenizer_folder, "--seed", "1")
    again = Attempt(tmp_path, tokenizer_folder, "--seed", "1", "--overwrite").train()
    assert again["weights_sha256"] != first["weights_sha256"]
    assert json.loads((tmp_path / "result.json").read_text()) == again


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_divergence_stops_and_names_the_last_good_checkpoint(
    tokenizer_folder: Path, tmp_path: Path, value: float
) -> None:
    attempt = Attempt(tmp_path, tokenizer_folder, "--checkpoint_seconds", "0")
    with pytest.raises(TrainingDivergedError, match=r"step 2: .*loss.*state/step-00000002"), attempt.run as run:
        for step in run.steps():
            run.record(step, {"loss": value if step == 2 else 1.0})
    assert list(_steps(tmp_path, "metrics.jsonl")) == [0, 1]


def test_two_runs_cannot_both_finish_a_folder(tokenizer_folder: Path, tmp_path: Path) -> None:
    late = Attempt(tmp_path, tokenizer_folder)
    first = Attempt(tmp_path, tokenizer_folder).train()
    with pytest.raises(FileExistsError):
        late.train()
    assert json.loads((tmp_path / "result.json").read_text()) == first


def test_cpu_of_children_is_counted(tokenizer_folder: Path, tmp_path: Path) -> None:
    attempt = Attempt(tmp_path, tokenizer_folder)
    attempt.run.count_cpu(1000.0)
    assert attempt.train()["cpu_seconds"] > 1000.0


def test_schedules() -> None:
    total = 100
    rates = [decay_half(s, total) for s in range(total)]
    assert rates[0] == pytest.approx(0.1) and rates[9:51] == [1.0] * 42
    assert rates[-1] == pytest.approx(0.02) and rates == sorted(rates[:10]) + sorted(rates[10:], reverse=True)
    assert [decay_linear(s, 4) for s in range(4)] == [1.0, 0.75, 0.5, 0.25]
    assert all(0 < decay_half(s, n) <= 1 for n in (1, 2, 5) for s in range(n))

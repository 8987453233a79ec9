"""The scripts base, sft and cmake by hand, as a user or a launcher starts them."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from cpp_pipeline.corpus.shards import Shards
from cpp_pipeline.models.build import load_model, weights_sha256
from cpp_pipeline.training import base, cmake, sft
from cpp_pipeline.training.loop import Batch
from cpp_pipeline_tests.models.material import make_shards, make_supervised, make_tokenizer


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tokenizer, shards and supervised rows."""
    folder = tmp_path_factory.mktemp("inputs")
    make_shards(folder / "shards", make_tokenizer(folder / "tokenizer"))
    make_supervised(folder / "sft.parquet")
    make_supervised(folder / "cmake.parquet", weights=False)
    return folder


def _base_flags(inputs: Path, output: Path, *more: str) -> list[str]:
    return [
        *("--shards", str(inputs / "shards"), "--tokenizer", str(inputs / "tokenizer"), "--preset", "smoke"),
        *("--steps", "12", "--threads", "1", "--output", str(output), *more),
    ]


@pytest.fixture(scope="module")
def base_folder(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base checkpoint of 12 steps."""
    output = tmp_path_factory.mktemp("base")
    base.main(_base_flags(inputs, output))
    return output


def _result(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return loaded


def _losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_base_learns_and_is_deterministic(inputs: Path, base_folder: Path, tmp_path: Path) -> None:
    losses = _losses(base_folder)
    assert len(losses) == 12 and losses[-1] < losses[0] - 1.0
    assert _result(base_folder)["config"]["preset"] == "smoke"
    base.main(_base_flags(inputs, tmp_path))
    assert (tmp_path / "metrics.jsonl").read_bytes() == (base_folder / "metrics.jsonl").read_bytes()
    assert _result(tmp_path)["weights_sha256"] == _result(base_folder)["weights_sha256"]


def test_base_masks_padding(inputs: Path, tmp_path: Path) -> None:
    flags = _base_flags(inputs, tmp_path, "--batch", "40", "--num_iterations", "1")
    base.main(flags)  # one epoch: 40 rows of 48 targets, the last row half padding
    assert _result(tmp_path)["tokens"] == 40 * 48 - 25


def test_micro_batches_change_only_rounding(inputs: Path, base_folder: Path, tmp_path: Path) -> None:
    base.main(_base_flags(inputs, tmp_path, "--micro_batch", "1"))
    assert _losses(tmp_path)[0] == pytest.approx(_losses(base_folder)[0], rel=1e-5)
    assert _losses(tmp_path)[-1] == pytest.approx(_losses(base_folder)[-1], rel=1e-2)


def test_base_refuses_shards_of_another_tokenizer(inputs: Path, tmp_path: Path) -> None:
    other = make_tokenizer(tmp_path / "tokenizer")
    text = (other / "tokenizer.json").read_text()
    (other / "tokenizer.json").write_text(text + "\n")
    with pytest.raises(ValueError, match="another tokenizer"):
        base.main(_base_flags(inputs, tmp_path / "out", "--tokenizer", str(other)))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_process_resumes_bitwise(inputs: Path, base_folder: Path, tmp_path: Path, number: int) -> None:
    flags = _base_flags(inputs, tmp_path, "--checkpoint_seconds", "0")
    batches = base.batches

    def killing(shards: Shards, step: int, *rest: int) -> list[Batch]:
        if step == 5:
            os.kill(os.getpid(), number)
        return batches(shards, step, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base, "batches", killing)
        child = multiprocessing.get_context("fork").Process(target=base.main, args=(flags,))
        child.start()
        child.join(60)
    assert child.exitcode == (143 if number == signal.SIGTERM else -number)
    saved = sorted(f.name for f in (tmp_path / "state").glob("step-*"))
    assert saved[-1] == ("step-00000006" if number == signal.SIGTERM else "step-00000005")
    assert not (tmp_path / "result.json").exists()
    base.main(flags)
    assert _result(tmp_path)["weights_sha256"] == _result(base_folder)["weights_sha256"]
    assert (tmp_path / "metrics.jsonl").read_bytes() == (base_folder / "metrics.jsonl").read_bytes()


def test_sft_lowers_the_loss_of_answers(inputs: Path, base_folder: Path, tmp_path: Path) -> None:
    sft.main(
        [
            *("--data", str(inputs / "sft.parquet"), "--checkpoint_path", str(base_folder), "--preset", "smoke"),
            *("--epochs", "4", "--batch", "12", "--threads", "1", "--output", str(tmp_path)),
        ]
    )
    result, losses = _result(tmp_path), _losses(tmp_path)
    assert result["stage"] == "sft" and result["steps"] == 8 and result["metrics"]["epochs"] == 4.0
    assert losses[-1] < losses[0] - 0.3
    assert result["config"]["origin"] == _result(base_folder)["weights_sha256"]
    model = AutoModelForCausalLM.from_pretrained(str(tmp_path))
    ids = AutoTokenizer.from_pretrained(str(tmp_path))("int", return_tensors="pt").input_ids
    assert torch.isfinite(model(ids).logits).all()
    assert weights_sha256(load_model(tmp_path)) == result["weights_sha256"]


def test_sft_skips_and_counts_long_rows(inputs: Path, base_folder: Path, tmp_path: Path) -> None:
    rows = pl.read_parquet(inputs / "sft.parquet")
    long = rows.head(2).with_columns(response=pl.lit("int x = 1;\n" * 400))
    pl.concat([rows, long]).write_parquet(tmp_path / "d.parquet")
    sft.main(
        [
            *("--data", str(tmp_path / "d.parquet"), "--checkpoint_path", str(base_folder)),
            *("--preset", "smoke", "--steps", "1", "--threads", "1", "--output", str(tmp_path / "out")),
        ]
    )
    metrics = _result(tmp_path / "out")["metrics"]
    assert metrics["rows_skipped_long"] >= 2
    assert metrics["rows"] + metrics["rows_skipped_long"] == len(rows) + 2


def test_sft_refuses_steps_and_epochs(inputs: Path, base_folder: Path, tmp_path: Path) -> None:
    flags = ["--data", str(inputs / "sft.parquet"), "--checkpoint_path", str(base_folder), "--threads", "1"]
    with pytest.raises(ValueError, match="not both"):
        sft.main([*flags, "--steps", "1", "--epochs", "1", "--output", str(tmp_path)])


def test_cmake_starts_from_new_weights(inputs: Path, tmp_path: Path) -> None:
    cmake.main(
        [
            *("--data", str(inputs / "cmake.parquet"), "--tokenizer", str(inputs / "tokenizer")),
            *("--preset", "smoke", "--steps", "6", "--threads", "1", "--output", str(tmp_path)),
        ]
    )
    losses = _losses(tmp_path)
    assert losses[0] == pytest.approx(torch.log(torch.tensor(1024.0)).item(), abs=0.05)  # uniform at the start
    assert losses[-1] < losses[0] - 0.5
    assert _result(tmp_path)["stage"] == "cmake"

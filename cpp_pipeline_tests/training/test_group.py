"""Several processes that train one model, as torchrun starts them."""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM

from cpp_pipeline.launch.remote_entry import DO_NOT_RETRY
from cpp_pipeline.training.group import ALONE, Group
from cpp_pipeline.training.stage import TrainingDivergedError, script, start_process
from cpp_pipeline_tests.models.material import make_shards, make_supervised, make_tokenizer

TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]
TWO = ["--standalone", "--nproc-per-node=2"]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tokenizer, shards and supervised rows."""
    folder = tmp_path_factory.mktemp("inputs")
    make_shards(folder / "shards", make_tokenizer(folder / "tokenizer"))
    make_supervised(folder / "rows.parquet")
    return folder


def _command(launch: Sequence[str], module: str, *flags: str) -> list[str]:
    return [*launch, "-m", f"cpp_pipeline.training.{module}", "--threads", "1", *flags]


def _base(launch: Sequence[str], inputs: Path, output: Path, *more: str) -> list[str]:
    data = ["--shards", str(inputs / "shards"), "--tokenizer", str(inputs / "tokenizer"), "--preset", "smoke"]
    return _command(launch, "base", *data, "--steps", "12", "--output", str(output), *more)


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3_000:]


def _result(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return loaded


def _losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def alone(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base checkpoint that one process trained."""
    output = tmp_path_factory.mktemp("alone")
    _run(_base([sys.executable], inputs, output))
    return output


def _like(folder: Path, other: Path) -> None:
    """Both took the same steps; only the order of sums differs."""
    mine, theirs = _losses(folder), _losses(other)
    assert len(mine) == len(theirs) and mine[0] == pytest.approx(theirs[0], rel=1e-5)
    assert mine == pytest.approx(theirs, rel=2e-2)
    assert _result(folder)["tokens"] == _result(other)["tokens"]


@pytest.mark.slow
def test_two_processes_take_the_steps_of_one(inputs: Path, alone: Path, tmp_path: Path) -> None:
    _run(_base([*TORCHRUN, *TWO], inputs, tmp_path))
    _like(tmp_path, alone)
    assert _result(tmp_path)["environment"]["processes"] == 2
    assert AutoModelForCausalLM.from_pretrained(tmp_path).num_parameters() == _result(tmp_path)["metrics"]["parameters"]


@pytest.mark.slow
def test_two_nodes_find_each_other(inputs: Path, alone: Path, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    meeting = ["--nnodes=2", "--nproc-per-node=1", "--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{port}"]
    commands = [_base([*TORCHRUN, *meeting, "--rdzv-id=job"], inputs, tmp_path / str(node)) for node in (0, 1)]
    nodes = [subprocess.Popen(c, stderr=subprocess.PIPE, text=True) for c in commands]
    told = [node.communicate(timeout=300)[1][-3_000:] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], told
    written = [folder for folder in (tmp_path / "0", tmp_path / "1") if (folder / "result.json").exists()]
    assert len(written) == 1  # which of the two is the first, they decide when they meet
    _like(written[0], alone)


@pytest.mark.slow
def test_a_group_that_is_ended_goes_on_with_another_number_of_processes(
    inputs: Path, alone: Path, tmp_path: Path
) -> None:
    command = _base([*TORCHRUN, *TWO], inputs, tmp_path, "--checkpoint_seconds", "0", "--batch", "4", "--steps", "150")
    group = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("state/step-*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    group.send_signal(signal.SIGTERM)
    told = group.communicate(timeout=120)[1]
    assert group.returncode != 0 and "saved at step" in told, told[-3_000:]
    (_, newest) = sorted(tmp_path.glob("state/step-*"))
    steps = int(newest.name.removeprefix("step-"))
    assert f"saved at step {steps}" in told
    assert 0 < steps < 150 and not (tmp_path / "result.json").exists()
    _run(_base([sys.executable], inputs, tmp_path, "--batch", "4", "--steps", "150"))
    assert len(_losses(tmp_path)) == 150 and _result(tmp_path)["environment"]["processes"] == 1


@pytest.mark.slow
def test_supervised_rows_are_shared_too(inputs: Path, alone: Path, tmp_path: Path) -> None:
    flags = ["--data", str(inputs / "rows.parquet"), "--checkpoint_path", str(alone), "--preset", "smoke"]
    flags += ["--steps", "6", "--batch", "6"]
    _run(_command([sys.executable], "sft", *flags, "--output", str(tmp_path / "one")))
    _run(_command([*TORCHRUN, *TWO], "sft", *flags, "--output", str(tmp_path / "two")))
    _like(tmp_path / "two", tmp_path / "one")


def test_a_stage_of_one_process_refuses_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cpp_pipeline.training.stage.join", lambda: Group(1, 2))
    with pytest.raises(ValueError, match="this stage is one process"):
        start_process(argparse.Namespace(threads=1, seed=0))


def test_training_that_diverged_asks_for_no_other_attempt(capsys: pytest.CaptureFixture[str]) -> None:
    def diverges() -> None:
        raise TrainingDivergedError("base step 3: loss is not finite")

    with pytest.raises(SystemExit) as ended:
        script(diverges)
    assert ended.value.code == DO_NOT_RETRY
    assert "base step 3" in capsys.readouterr().err


@pytest.mark.parametrize(("rows", "batch", "world", "micro"), [(16, 32, 1, 16), (16, 32, 4, 8), (16, 3, 8, 1)])
def test_a_batch_is_enough_for_all(rows: int, batch: int, world: int, micro: int) -> None:
    group = Group(0, world)
    assert group.micro_rows(rows, batch) == micro
    parts = [range(batch)[i : i + micro] for i in range(0, batch, micro)]
    shares = [Group(rank, world).share(parts) for rank in range(world)]
    assert sorted(row for share in shares for part in share for row in part) == list(range(batch))


def test_alone_nothing_is_exchanged() -> None:
    assert (ALONE.total(2.5), ALONE.largest(3.0), ALONE.of_first("x"), ALONE.is_first) == (2.5, 3.0, "x", True)

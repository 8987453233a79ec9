"""What the orchestrator and a person see of a run."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path

import pytest
from dagster_pipes import encode_param

from cpp_pipeline.training import base
from cpp_pipeline_tests.models.material import make_shards, make_tokenizer

CONTEXT = {
    "asset_keys": ["base_checkpoint"],
    "code_version_by_asset_key": None,
    "provenance_by_asset_key": None,
    "partition_key": None,
    "partition_key_range": None,
    "partition_time_window": None,
    "run_id": "r",
    "job_name": None,
    "retry_number": 0,
    "extras": {},
}


def _train(folder: Path, output: Path, preset: str) -> None:
    flags = ["--shards", str(folder / "shards"), "--tokenizer", str(folder / "tokenizer"), "--threads", "1"]
    base.main([*flags, "--preset", preset, "--steps", "2", "--batch", "2", "--output", str(output)])


def _in_pipes(folder: Path, messages: Path) -> None:
    os.environ["DAGSTER_PIPES_CONTEXT"] = encode_param({"data": CONTEXT})
    os.environ["DAGSTER_PIPES_MESSAGES"] = encode_param({"path": str(messages)})
    _train(folder, folder / "one", "smoke")
    _train(folder, folder / "two", "smoke")  # the session has ended; the run still works


def test_progress_goes_to_pipes_where_a_session_exists(tmp_path: Path) -> None:
    make_shards(tmp_path / "shards", make_tokenizer(tmp_path / "tokenizer"))
    messages = tmp_path / "messages.jsonl"
    messages.touch()
    # a child, because a Pipes session belongs to a whole process
    child = multiprocessing.get_context("fork").Process(target=_in_pipes, args=(tmp_path, messages))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    seen = [json.loads(line) for line in messages.read_text().splitlines()]
    logs = [m["params"]["message"] for m in seen if m["method"] == "log"]
    assert any(text.startswith("base: step 2/2") or text.startswith("step 2/2") for text in logs)
    assert any("finished: 2 steps" in text for text in logs)
    assert [m["method"] for m in seen if m["method"] in ("opened", "closed")] == ["opened", "closed"]
    assert (tmp_path / "two" / "result.json").is_file()


def test_progress_line_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_shards(tmp_path / "shards", make_tokenizer(tmp_path / "tokenizer"))
    _train(tmp_path, tmp_path / "out", "smoke")
    line = next(x for x in capsys.readouterr().err.splitlines() if "step 2/2" in x)
    for part in ("base: step 2/2", "loss ", "tok/s ", "eta 0s"):
        assert part in line

"""The CMake evaluation with a real (untrained) model and a real cmake."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cpp_pipeline.corpus.tokenizer import train_tokenizer
from cpp_pipeline.evaluation.reports import cmake_report
from cpp_pipeline.models.presets import Shape
from cpp_pipeline.problems.cmake_projects import generate
from cpp_pipeline.schemas import TABLES


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return [{**r, "configure_ok": True} for r in generate(1, 2, 0)]


def test_references_configure_with_all_targets_and_nonsense_does_not(
    rows: list[dict[str, Any]], sandbox_url: str
) -> None:
    from cpp_pipeline.evaluation.cmake_eval import judge
    from cpp_pipeline.sandbox.client import SandboxClient

    problem = next(r for r in rows if r["split"] == "eval")
    texts = [problem["reference"], problem["reference"], "project("]
    answers = [{"greedy": False, "sample_id": i, "response": t, "truncated": False} for i, t in enumerate(texts)]
    with SandboxClient(sandbox_url) as client:
        found = judge(client, problem, answers, build=False)
    assert [r["error"] for r in found] == [None] * 3
    assert [(r["configure_ok"], r["targets_exact"], r["targets_f1"]) for r in found] == [
        (True, True, 1.0),
        (True, True, 1.0),
        (False, False, 0.0),
    ]


def test_the_command_writes_rows_and_result(rows: list[dict[str, Any]], sandbox_url: str, tmp_path: Path) -> None:
    from cpp_pipeline.evaluation.cmake_eval import main
    from cpp_pipeline.models.build import new_model, save_model

    tokenizer, checkpoint, out = tmp_path / "tokenizer", tmp_path / "checkpoint", tmp_path / "out"
    train_tokenizer(iter(r["instruction"] + r["reference"] for r in rows), 320, tokenizer)
    save_model(new_model(Shape(1, 32, 2, 1, 16, 64, 320, 512), tokenizer, 0), tokenizer, checkpoint)
    TABLES["cmake_problems"].frame(rows).sink_parquet(tmp_path / "problems.parquet")
    flags = ["--problems", str(tmp_path / "problems.parquet"), "--checkpoint_path", str(checkpoint)]
    flags += ["--samples", "1", "--max_new_tokens", "6", "--threads", "1", "--sandbox-url", sandbox_url]
    result = main([*flags, "--output", str(out)])
    assert json.loads((out / "result.json").read_text()) == result
    assert result["metrics"]["problems"] == 2
    assert pl.read_parquet(out / "rows.parquet")["greedy"].to_list() == [True, False] * 2
    assert cmake_report("cmake_eval", out, tmp_path / "report")["configure_ok"]["n"] == 2
    with pytest.raises(FileExistsError, match="is finished"):
        main([*flags, "--output", str(out)])

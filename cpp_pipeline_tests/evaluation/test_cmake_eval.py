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
from cpp_pipeline_tests.rollouts.refusing import refusing_controller


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


def _answer(*, greedy: bool, ok: bool = False, error: str | None = None) -> dict[str, Any]:
    return {"greedy": greedy, "configure_ok": ok, "targets_exact": ok, "truncated": False, "error": error}


def test_an_answer_without_a_verdict_is_no_failure() -> None:
    from cpp_pipeline.evaluation.cmake_eval import VerdictsMissing, summary

    lost = _answer(greedy=True, error="worker_lost")
    samples = [_answer(greedy=False, ok=True)] * 38
    found = summary([_answer(greedy=True, ok=True), lost, *samples])
    assert (found["greedy_configure_ok"], found["greedy_targets_exact"]) == (1.0, 1.0)
    assert (found["answers"], found["errors"]) == (40, 1)
    assert summary([_answer(greedy=True, ok=True), _answer(greedy=True)])["greedy_configure_ok"] == 0.5
    nothing_greedy = summary([lost, *samples])
    assert nothing_greedy["greedy_configure_ok"] is None
    assert nothing_greedy["truncated_share"] == 0
    with pytest.raises(VerdictsMissing, match="2 of 39 answers have no verdict; first: worker_lost"):
        summary([lost, lost, *samples[1:]])


@pytest.fixture(scope="module")
def flags(rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Flags of the command for an untrained model and both projects."""
    from cpp_pipeline.models.build import new_model, save_model

    folder = tmp_path_factory.mktemp("cmake_eval")
    tokenizer, checkpoint = folder / "tokenizer", folder / "checkpoint"
    train_tokenizer(iter(r["instruction"] + r["reference"] for r in rows), 320, tokenizer)
    save_model(new_model(Shape(1, 32, 2, 1, 16, 64, 320, 512), tokenizer, 0), tokenizer, checkpoint)
    TABLES["cmake_problems"].frame(rows).sink_parquet(folder / "problems.parquet")
    found = ["--problems", str(folder / "problems.parquet"), "--checkpoint_path", str(checkpoint)]
    return [*found, "--samples", "1", "--max_new_tokens", "6", "--threads", "1"]


def test_the_token_is_that_of_the_settings(flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cpp_pipeline.evaluation.cmake_eval import main
    from cpp_pipeline.sandbox.client import SandboxUnavailable

    monkeypatch.setenv("SANDBOX_TOKEN", "secret")
    with refusing_controller() as (url, seen), pytest.raises(SandboxUnavailable, match="401"):
        main([*flags, "--sandbox-url", url, "--output", str(tmp_path)])
    assert set(seen) == {"Bearer secret"}
    assert not (tmp_path / "result.json").exists()


def test_the_command_writes_rows_and_result(flags: list[str], sandbox_url: str, tmp_path: Path) -> None:
    from cpp_pipeline.evaluation.cmake_eval import main

    out, flags = tmp_path / "out", [*flags, "--sandbox-url", sandbox_url]
    result = main([*flags, "--output", str(out)])
    assert json.loads((out / "result.json").read_text()) == result
    assert result["metrics"]["problems"] == 2
    assert pl.read_parquet(out / "rows.parquet")["greedy"].to_list() == [True, False] * 2
    assert cmake_report("cmake_eval", out, tmp_path / "report")["configure_ok"]["n"] == 2
    with pytest.raises(FileExistsError, match="is finished"):
        main([*flags, "--output", str(out)])

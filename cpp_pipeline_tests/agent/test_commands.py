"""The commands with real checkpoints (untrained, so without skill): agent and evaluation."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from cpp_pipeline.agent.__main__ import main as agent_main
from cpp_pipeline.agent.codemodel import MIN_NEW_TOKENS, CheckpointModel
from cpp_pipeline.agent.evaluate import main as evaluate_main
from cpp_pipeline.agent.ports import PromptTooLongError
from cpp_pipeline.agent.problems import agent_problems
from cpp_pipeline.corpus.formats import chat_prompt, chat_text
from cpp_pipeline.corpus.tokenizer import train_tokenizer
from cpp_pipeline.models.build import new_model, save_model
from cpp_pipeline.models.presets import Shape
from cpp_pipeline.problems.family import generate
from cpp_pipeline.schemas import TABLES

SHAPE = Shape(1, 32, 1, 1, 32, 32, 512, 256)


@pytest.fixture(scope="module")
def code_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("code")
    train_tokenizer(iter([chat_text("Add.", "int f() { return 1; }")] * 3), 512, folder / "tokenizer")
    save_model(new_model(SHAPE, folder / "tokenizer", seed=0), folder / "tokenizer", folder)
    return folder


def test_completions_repeat_for_a_seed_and_differ_between_samples(code_folder: Path) -> None:
    model = CheckpointModel(code_folder, max_new_tokens=8, temperature=1.0)
    once = model.complete(chat_prompt("Add."), 3, seed=1)
    assert len(set(once)) == 3
    assert model.complete(chat_prompt("Add."), 3, seed=1) == once
    assert model.complete(chat_prompt("Add."), 3, seed=2) != once


def test_a_prompt_without_room_for_an_answer_is_refused(code_folder: Path) -> None:
    model = CheckpointModel(code_folder)
    with pytest.raises(PromptTooLongError, match="256"):
        model.complete("x y " * (SHAPE.context - MIN_NEW_TOKENS), 1, 0)


def flags(router: Path, code: Path, url: str) -> list[str]:
    return [
        *("--router", str(router), "--code", str(code), "--cmake", str(code), "--sandbox-url", url),
        *("--threads", "1", "--max_iterations", "2", "--max_new_tokens", "8"),
    ]


def test_the_evaluation_script(router_folder: Path, code_folder: Path, sandbox_url: str, tmp_path: Path) -> None:
    _, held_out = generate(8, 4, 0)
    problems = agent_problems(TABLES["eval_problems"].frame(held_out), TABLES["cmake_problems"].empty(), 4, 0).collect()
    problems.write_parquet(tmp_path / "problems.parquet")
    out = tmp_path / "out"
    evaluate_main(
        [
            *("--problems", str(tmp_path / "problems.parquet"), "--output", str(out)),
            *flags(router_folder, code_folder, sandbox_url),
        ]
    )
    rows = pl.read_parquet(out / "rows.parquet")
    result = json.loads((out / "result.json").read_text())
    assert rows["problem_id"].to_list() == problems["problem_id"].to_list()
    assert result["metrics"]["n"] + result["metrics"]["errors"] == len(problems) == 3
    assert all(json.loads(t)["steps"][-1]["state"] == "done" for t in rows["trace"])


def test_the_command_line(
    router_folder: Path,
    code_folder: Path,
    sandbox_url: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    common = flags(router_folder, code_folder, sandbox_url)
    (tmp_path / "a.cpp").write_text("int f() { return 1; }\n")
    code = agent_main(["Review $code.", "--attach", f"code={tmp_path / 'a.cpp'}", "--json", *common])
    trace = json.loads(capsys.readouterr().out)
    assert trace["request"] == "Review $code." and code in (0, 1, 2)
    assert agent_main(["Review.", "--attach", "code", *common]) == 2
    assert "NAME=FILE" in capsys.readouterr().err
    missing = [*common[:2], *common[2:]]
    missing[1] = str(tmp_path / "nothing")
    assert agent_main(["Review.", *missing]) == 2
    assert "nothing" in capsys.readouterr().err

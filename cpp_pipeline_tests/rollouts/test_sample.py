"""Sampling jobs end to end: a real (untrained) model, the real sampler, a real controller and g++."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cpp_pipeline.corpus.formats import chat_prompt, structured_fim_prompt
from cpp_pipeline.corpus.tokenizer import train_tokenizer
from cpp_pipeline.models.presets import Shape
from cpp_pipeline.problems.family import generate
from cpp_pipeline.rollouts.job import Progress, commit_json, start_output
from cpp_pipeline.rollouts.merge import category, distinct_candidates, merge, solution_row, summary
from cpp_pipeline.rollouts.parts import join_parts, read_part
from cpp_pipeline.sandbox.types import Result
from cpp_pipeline.schemas import TABLES
from cpp_pipeline_tests.rollouts.refusing import refusing_controller

PROBLEMS = 3
SOURCE = "int solve(const std::vector<int>& v) {\n    int r = 0;\n    for (int x : v) r += x;\n    return r;\n}\n"


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return generate(PROBLEMS, 0, 0)[0]


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]) -> Path:
    path = tmp_path_factory.mktemp("problems") / "problems.parquet"
    TABLES["train_problems"].frame(rows).sink_parquet(path)
    return path


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]) -> Path:
    from cpp_pipeline.models.build import new_model, save_model

    tokenizer, folder = tmp_path_factory.mktemp("tokenizer"), tmp_path_factory.mktemp("checkpoint")
    train_tokenizer(iter([SOURCE, *(r["instruction"] + r["reference"] for r in rows)]), 320, tokenizer)
    save_model(new_model(Shape(1, 32, 2, 1, 16, 64, 320, 256), tokenizer, 0), tokenizer, folder)
    return folder


def _arguments(problems: Path, checkpoint: Path, url: str, output: Path, *more: str) -> list[str]:
    flags = {
        "problems": problems,
        "checkpoint_path": checkpoint,
        "format": "fim",
        "k": 2,
        "max_new_tokens": 8,
        "threads": 1,
        "sandbox-url": url,
        "output": output,
    }
    return [text for name, value in flags.items() for text in (f"--{name}", str(value))] + list(more)


def test_a_job_writes_solutions_and_result(problems: Path, checkpoint: Path, sandbox_url: str, tmp_path: Path) -> None:
    from cpp_pipeline.rollouts.sample import main

    result = main(_arguments(problems, checkpoint, sandbox_url, tmp_path, "--greedy"))
    assert json.loads((tmp_path / "result.json").read_text()) == result
    assert (result["problems"], result["samples"], result["errors"]) == (PROBLEMS, 2 * PROBLEMS, 0)
    assert 0 <= result["pass@1"] <= 1
    assert result["cpu_seconds"] > 0
    assert len(result["weights_sha256"]) == 64
    table = TABLES["pass_k_solutions"]
    solutions = pl.scan_parquet(tmp_path / "solutions.parquet")
    assert table.violations(table.conform(solutions)) == {}
    greedy = pl.read_parquet(tmp_path / "greedy.parquet")
    assert greedy["count"].to_list() == [1] * PROBLEMS
    with pytest.raises(FileExistsError, match="--overwrite"):
        main(_arguments(problems, checkpoint, sandbox_url, tmp_path, "--greedy"))


def test_a_killed_job_goes_on_and_ends_equal(
    problems: Path, checkpoint: Path, sandbox_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cpp_pipeline.rollouts import sample

    monkeypatch.setattr(sample, "SHARD_PROBLEMS", 1)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    sample.main(_arguments(problems, checkpoint, sandbox_url, whole))
    sample.main(_arguments(problems, checkpoint, sandbox_url, broken))
    first = (broken / "shards" / "solutions-00000.parquet").stat().st_mtime_ns
    (broken / "shards" / "solutions-00001.parquet").unlink()
    (broken / "result.json").unlink()
    sample.main(_arguments(problems, checkpoint, sandbox_url, broken))
    assert (broken / "shards" / "solutions-00000.parquet").stat().st_mtime_ns == first
    assert pl.read_parquet(broken / "solutions.parquet").equals(pl.read_parquet(whole / "solutions.parquet"))


def test_parts_together_are_the_whole(
    problems: Path, checkpoint: Path, sandbox_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cpp_pipeline.rollouts import sample

    monkeypatch.setattr(sample, "SHARD_PROBLEMS", 1)
    whole, joined = tmp_path / "whole", tmp_path / "joined"
    expected = sample.main(_arguments(problems, checkpoint, sandbox_url, whole, "--greedy"))
    parts = [tmp_path / str(number) for number in range(PROBLEMS + 1)]  # the last one has nothing to do
    for number, part in enumerate(parts):
        flags = ("--greedy", "--part", f"{number}/{len(parts)}")
        sample.main(_arguments(problems, checkpoint, sandbox_url, part, *flags))
        assert len(list(part.glob("shards/*.parquet"))) == (2 if number < PROBLEMS else 0)
        assert not (part / "solutions.parquet").exists()
    join_parts(parts, joined)
    for name in ("solutions.parquet", "greedy.parquet"):
        assert pl.read_parquet(joined / name).equals(pl.read_parquet(whole / name))
    found = json.loads((joined / "result.json").read_text())
    assert found.pop("metrics").keys() == expected.pop("metrics").keys()
    assert {**found, "cpu_seconds": 0} == {**expected, "cpu_seconds": 0}


def test_parts_of_different_jobs_are_refused(tmp_path: Path) -> None:
    for name, seed in (("0", 1), ("1", 2)):
        (tmp_path / name / "shards").mkdir(parents=True)
        commit_json({"seed": seed, "metrics": {}}, tmp_path / name / "result.json")
    with pytest.raises(ValueError, match="different jobs"):
        join_parts([tmp_path / "0", tmp_path / "1"], tmp_path / "out")


@pytest.mark.parametrize("text", ["", "1", "2/2", "-1/2", "a/b", "0/0"])
def test_no_such_part(text: str) -> None:
    with pytest.raises(ValueError, match="no part"):
        read_part(text)


def test_other_settings_do_not_reuse_shards(problems: Path, checkpoint: Path, sandbox_url: str, tmp_path: Path) -> None:
    from cpp_pipeline.rollouts.sample import main

    main(_arguments(problems, checkpoint, sandbox_url, tmp_path))
    (tmp_path / "result.json").unlink()
    with pytest.raises(FileExistsError, match="other settings"):
        main(_arguments(problems, checkpoint, sandbox_url, tmp_path, "--seed", "1"))
    result = main(_arguments(problems, checkpoint, sandbox_url, tmp_path, "--seed", "1", "--overwrite"))
    assert result["seed"] == 1


def test_an_unreachable_sandbox_leaves_no_result(problems: Path, checkpoint: Path, tmp_path: Path) -> None:
    from cpp_pipeline.rollouts.sample import main
    from cpp_pipeline.sandbox.client import SandboxUnavailable

    with pytest.raises(SandboxUnavailable):
        main(_arguments(problems, checkpoint, "http://127.0.0.1:9", tmp_path))
    assert not (tmp_path / "result.json").exists()
    assert not list((tmp_path / "shards").glob("*.parquet"))


def test_right_and_wrong_candidates_get_their_verdicts(rows: list[dict[str, Any]], sandbox_url: str) -> None:
    from cpp_pipeline.rollouts.sample import Task, judge
    from cpp_pipeline.sandbox.client import SandboxClient

    samples = [
        (rows[0]["reference"], 10, False),
        ("// the same\n" + rows[0]["reference"], 12, False),
        ("int solve(", 2, True),
    ]
    candidates = [distinct_candidates(rows[0]["problem_id"], "prompt", samples)]
    with SandboxClient(sandbox_url) as client:
        found = judge(client, Task("t", (rows[0],), 3, 1.0), candidates)
    frame = TABLES["pass_k_solutions"].frame(found)
    assert TABLES["pass_k_solutions"].violations(frame) == {}
    assert [(r["verdict"], r["count"], r["category"]) for r in found] == [("AC", 2, "correct"), ("CE", 1, "wrong")]
    facts = summary(frame)
    assert facts["pass@1"] == pytest.approx(2 / 3)
    assert facts["truncated_share"] == pytest.approx(1 / 3)
    assert facts["distinct_share"] == pytest.approx(2 / 3)


def test_many_missing_verdicts_fail_the_job_and_keep_no_shard(tmp_path: Path) -> None:
    from cpp_pipeline.rollouts.sample import Ledger, Task, VerdictsMissing

    row = _row("p", "int f();", error="worker_lost: gone")
    ledger = Ledger(tmp_path, Progress("sample", 1), total_samples=10)
    with pytest.raises(VerdictsMissing, match=r"1 of 10 samples.*worker_lost: gone"):
        ledger.commit(Task("solutions-00000", (), 10, 1.0), [row], 0.0)
    assert list(tmp_path.iterdir()) == []


def test_errors_of_earlier_attempts_count(tmp_path: Path) -> None:
    from cpp_pipeline.rollouts.sample import Ledger, Task, VerdictsMissing

    work = [Task(f"solutions-{n:05d}", (), 20, 1.0) for n in range(3)]
    failed, fine = _row("p", "int f();", error="worker_lost: gone"), _row("q", "int g();")

    def attempt() -> Ledger:
        return Ledger(tmp_path, Progress("sample", 3), total_samples=30)

    first = attempt()
    assert first.resume(work) == work
    first.commit(work[0], [failed, fine], 0.0)
    second = attempt()
    assert second.resume(work) == work[1:]
    assert (second.done, second.errors) == (1, 1)
    with pytest.raises(VerdictsMissing, match="2 of 30 samples"):
        second.commit(work[1], [failed], 0.0)


def test_the_token_is_that_of_the_settings_unless_a_flag_gives_one(
    problems: Path, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cpp_pipeline.rollouts.sample import main
    from cpp_pipeline.sandbox.client import SandboxUnavailable

    monkeypatch.setenv("SANDBOX_TOKEN", "from settings")
    with refusing_controller() as (url, seen):
        for n, flag in enumerate(([], ["--sandbox-token", "from flag"])):
            with pytest.raises(SandboxUnavailable, match="401"):
                main(_arguments(problems, checkpoint, url, tmp_path / str(n), *flag))
    assert seen == ["Bearer from settings", "Bearer from flag"]


def _row(problem: str, code: str, error: str | None = None) -> dict[str, Any]:
    candidate = distinct_candidates(problem, "prompt", [(code, 3, False)])[0]
    passed = None if error else 1
    result = Result(candidate.solution_id, None if error else "AC", not error, passed, 1, error=error)
    return solution_row(candidate, result)


def test_an_error_has_no_verdict_and_no_score() -> None:
    row = _row("p", "int f();", error="worker_lost")
    assert (row["verdict"], row["score"], row["category"], row["error"]) == (None, None, None, "worker_lost")
    assert summary(TABLES["pass_k_solutions"].frame([row]))["pass@1"] is None


def test_merge_does_not_depend_on_the_order_of_shards() -> None:
    shards = [TABLES["pass_k_solutions"].frame([_row(p, "int f();")]) for p in ("b", "a", "c")]
    assert merge(shards).collect().equals(merge(shards[::-1]).collect())
    assert merge(shards).collect()["problem_id"].to_list() == ["a", "b", "c"]
    assert merge([]).collect().is_empty()


def test_categories() -> None:
    assert [category(s) for s in (1.0, 0.5, 0.0)] == ["correct", "partial", "wrong"]


def test_prompts_by_format(rows: list[dict[str, Any]]) -> None:
    from cpp_pipeline.rollouts.sample import prompt_text

    assert prompt_text("fim", rows[0]) == structured_fim_prompt(rows[0]["doc"], rows[0]["signature"])
    assert prompt_text("chat", rows[0]) == chat_prompt(rows[0]["instruction"])


def test_files_are_committed_once(tmp_path: Path) -> None:
    commit_json({"a": 1}, tmp_path / "x.json")
    with pytest.raises(FileExistsError):
        commit_json({"a": 2}, tmp_path / "x.json")
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_start_output_refuses_a_finished_folder(tmp_path: Path) -> None:
    start_output(tmp_path, {"seed": 0}, overwrite=False)
    start_output(tmp_path, {"seed": 0}, overwrite=False)
    commit_json({}, tmp_path / "result.json")
    with pytest.raises(FileExistsError, match="is finished"):
        start_output(tmp_path, {"seed": 0}, overwrite=False)
    start_output(tmp_path, {"seed": 1}, overwrite=True)
    assert not (tmp_path / "result.json").exists()


def test_progress_is_told_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("sample", 2) as progress:
        progress.report(1, "too early to be told")
        progress.report(2, "shards")
    assert capsys.readouterr().err == "sample: 2/2 shards eta 0s\n"

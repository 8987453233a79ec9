"""End-to-end tasks: what the agent sees, what it does not, and that they can be solved."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cpp_pipeline.agent.evaluate import counts, evaluate
from cpp_pipeline.agent.orchestrator import Orchestrator
from cpp_pipeline.agent.problems import MIN_TESTS, VISIBLE_TESTS, agent_problems
from cpp_pipeline.agent.results import finish, refuse_finished
from cpp_pipeline.agent.router import Decision
from cpp_pipeline.agent.router_data import router_rows
from cpp_pipeline.agent.tools import BY_NAME, Call
from cpp_pipeline.problems.family import generate
from cpp_pipeline.sandbox.client import SandboxClient
from cpp_pipeline.schemas import TABLES

CMAKE = "cmake_minimum_required(VERSION 3.20)\nproject(app LANGUAGES CXX)\nadd_executable(app main.cpp)\n"


@pytest.fixture(scope="module")
def eval_problems() -> pl.LazyFrame:
    _, held_out = generate(8, 8, 0)
    return TABLES["eval_problems"].frame(held_out)


@pytest.fixture(scope="module")
def cmake_problems() -> pl.LazyFrame:
    rows = [
        {
            "problem_id": f"cmake-{split}-{i}",
            "split": split,
            "split_key": "exe",
            "instruction": f"Write a CMakeLists.txt for the project app, number {i}.",
            "files": [{"path": "main.cpp", "content": "int main() { return 0; }\n"}],
            "reference": CMAKE,
            "targets": ["executable:app"],
            "configure_ok": True,
        }
        for split in ("train", "eval")
        for i in range(3)
    ]
    return TABLES["cmake_problems"].frame(rows)


@pytest.fixture(scope="module")
def rows(eval_problems: pl.LazyFrame, cmake_problems: pl.LazyFrame) -> pl.DataFrame:
    return agent_problems(eval_problems, cmake_problems, 8, 0).collect()


def test_a_mix_over_the_tools(rows: pl.DataFrame, eval_problems: pl.LazyFrame, cmake_problems: pl.LazyFrame) -> None:
    assert TABLES["agent_problems"].violations(rows.lazy()) == {}
    assert dict(rows["tool"].value_counts().iter_rows()) == dict.fromkeys(BY_NAME, 2)
    assert agent_problems(eval_problems, cmake_problems, 8, 0).collect().equals(rows)
    assert agent_problems(eval_problems, cmake_problems, 500, 0).collect().height < 500


def test_the_judging_tests_are_hidden_from_the_agent(rows: pl.DataFrame) -> None:
    for row in rows.filter(tool="generate_code").iter_rows(named=True):
        shown = json.loads(json.loads(row["attachments"])["$tests"])
        hidden = json.loads(row["tests"])
        assert len(shown) == VISIBLE_TESTS and len(hidden) >= MIN_TESTS - VISIBLE_TESTS
        assert not [t for t in shown if t in hidden]
    for row in rows.filter(tool="generate_cmake").iter_rows(named=True):
        assert row["problem_id"].startswith("agent/generate_cmake/cmake-eval-")
        assert "add_executable" not in row["attachments"]


def test_no_request_is_one_that_the_router_was_trained_on() -> None:
    every = agent_problems(TABLES["eval_problems"].empty(), TABLES["cmake_problems"].empty(), 100, 0)
    assert every.collect().height >= 14
    trained = set(router_rows(4000, 0).filter(split="train").collect()["utterance"])
    assert trained.isdisjoint(every.collect()["request"])


class RightRouter:
    """Routes by what is attached."""

    def __init__(self, rows: Sequence[dict[str, Any]]) -> None:
        self.rows = {r["request"] + r["attachments"]: r for r in rows}
        self.current: dict[str, Any] = {}

    def route(self, utterance: str, handles: Sequence[str]) -> Decision:
        tool = self.current["tool"]
        arguments: dict[str, Any] = {
            "generate_code": {"specification": "$request", "signature": "$signature"},
            "generate_cmake": {"project_name": "app", "source_files": ["$files"]},
            "execute_code": {"code": "$code", "test_cases": "$tests"},
            "analyze_code": {"code": "$code"},
        }[tool]
        if tool == "analyze_code":
            kind = json.loads(self.current["expected"])["analysis_type"]
            arguments = {**arguments, "analysis_type": kind}
        return Decision(tool, 1.0, Call(tool, arguments), "", "")


class KnowingModel:
    """Gives the reference of the current task."""

    def __init__(self, router: RightRouter, references: dict[str, str]) -> None:
        self.router, self.references = router, references

    def complete(self, prompt: str, n: int, seed: int) -> list[str]:
        name = self.router.current["problem_id"].removeprefix("agent/generate_code/")
        return [self.references.get(name, CMAKE)] * n


def test_every_task_is_solved_by_an_agent_that_knows(
    rows: pl.DataFrame, eval_problems: pl.LazyFrame, sandbox: SandboxClient, tmp_path: Path
) -> None:
    tasks = rows.to_dicts()
    router = RightRouter(tasks)
    references = dict(eval_problems.select("problem_id", "reference").collect().iter_rows())
    model = KnowingModel(router, references)
    agent = Orchestrator(router, model, model, sandbox)

    def announced() -> Any:
        for task in tasks:
            router.current = task
            yield task

    found = evaluate(agent, announced(), seed=0)
    failed = found.filter(~pl.col("success").fill_null(False)).select("problem_id", "sentence", "verdict").to_dicts()
    assert failed == []
    total = counts(found)
    assert (total["n"], total["success"], total["routed"], total["errors"]) == (8, 8, 8, 0)
    assert total["by_tool"]["execute_code"] == {"n": 2, "success": 2, "routed": 2}
    assert total["success_by_iteration"] == {"1": 8}
    finish(tmp_path, "agent_eval", found, total, 0.0)
    with pytest.raises(FileExistsError):
        refuse_finished(tmp_path)


def test_a_wrong_route_and_a_missing_sandbox_are_not_the_same(rows: pl.DataFrame) -> None:
    tasks = rows.filter(tool="execute_code").to_dicts()
    router = RightRouter(tasks)
    router.current = tasks[0]
    with SandboxClient("http://127.0.0.1:9", retries=0) as gone:
        agent = Orchestrator(router, KnowingModel(router, {}), KnowingModel(router, {}), gone)
        unjudged = counts(evaluate(agent, tasks[:1], seed=0))
        assert (unjudged["n"], unjudged["errors"]) == (0, 1)
        wrong = [{**tasks[0], "tool": "generate_code"}]
        found = evaluate(agent, wrong, seed=0)
        assert found["routed_ok"].to_list() == [False]

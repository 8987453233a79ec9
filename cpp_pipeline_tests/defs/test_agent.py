"""What the router learns from and what the agent is measured on."""

import json

import polars as pl

from cpp_pipeline.defs.agent import agent_problems, router_sft
from cpp_pipeline.defs.resources import PRESET
from cpp_pipeline_tests.defs.support import Bench, frame, row


def test_router_rows_cover_the_tools_with_disjoint_phrasings(bench: Bench) -> None:
    made = bench.in_memory(router_sft)["router_sft"]
    assert made.height == 40 * PRESET.cmake_train
    assert {"generate_code", "generate_cmake", "execute_code", "analyze_code"} < set(made["tool"])
    train, held_out = (set(made.filter(split=s)["template_id"]) for s in ("train", "eval"))
    assert train
    assert held_out
    assert not train & held_out
    called = made.filter(pl.col("tool") == "execute_code").row(0, named=True)
    assert json.loads(called["arguments"])["code"] == "$code"
    assert "execute_code" in called["response"]


def test_the_same_seed_gives_the_same_rows(bench: Bench) -> None:
    first, second = (bench.in_memory(router_sft)["router_sft"] for _ in range(2))
    assert first.equals(second)


def test_tasks_go_round_the_tools_and_hide_tests(bench: Bench) -> None:
    tests = [{"args": [n], "expected": 2 * n} for n in range(6)]
    code = {"signature": "int solve(int x)", "reference": "int solve(int x) {\n    return 2 * x;\n}\n"}
    project = {"configure_ok": True, "targets": ["executable:draw"], "files": [{"path": "a.cpp", "content": "int a;"}]}
    inputs = {
        "eval_problems": frame(
            "eval_problems", *(row("eval_problems", n, tests=json.dumps(tests), n_tests=6, **code) for n in range(2))
        ),
        "cmake_problems": frame(
            "cmake_problems",
            row("cmake_problems", 0, split="train", **project),
            row("cmake_problems", 1, split="eval", **project),
            row("cmake_problems", 2, split="eval", **{**project, "configure_ok": False}),
        ),
    }
    made = bench.in_memory(agent_problems, inputs=inputs)["agent_problems"]
    tasks = {r["tool"]: r for r in made.to_dicts()}
    assert made.height == PRESET.agent_problems
    assert set(tasks) == {"generate_code", "generate_cmake", "execute_code", "analyze_code"}
    assert tasks["generate_cmake"]["problem_id"].endswith("problem_id 1")
    generate = tasks["generate_code"]
    shown = json.loads(json.loads(generate["attachments"])["$tests"])
    assert shown + json.loads(generate["tests"]) == tests
    assert shown


def test_without_projects_the_other_tools_remain(bench: Bench) -> None:
    inputs = {"eval_problems": frame("eval_problems"), "cmake_problems": frame("cmake_problems")}
    made = bench.in_memory(agent_problems, inputs=inputs)["agent_problems"]
    assert made["tool"].to_list() == ["analyze_code"]

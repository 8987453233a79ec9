"""What is learned from judged samples: preference pairs and the GSPO prompt pool."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from cpp_pipeline.defs import rollouts
from cpp_pipeline.defs.resources import PRESET
from cpp_pipeline.launch.local import Launcher
from cpp_pipeline.launch.sandbox import SandboxResource
from cpp_pipeline.storage.currency import Recipe, stamp
from cpp_pipeline_tests.defs.support import Bench, frame, row

CODE = "int solve(int x) {{\n    int doubled = x * 2;\n    int shifted = doubled + {n};\n    return shifted;\n}}\n"


def solution(number: int, passed: int, **values: object) -> dict[str, object]:
    """A judged sample of problem 1 that passes so many of five tests."""
    made = {
        "problem_id": "problem_id 1",
        "code": CODE.format(n=number),
        "tests_passed": passed,
        "tests_total": 5,
        "score": passed / 5,
        "verdict": "AC" if passed == 5 else "PA",
        "compile_ok": True,
    }
    return row("sft_pass_k_solutions", number, **{**made, **values})


def problem(number: int, **values: object) -> dict[str, object]:
    """A problem with five tests."""
    code = CODE.format(n=100 + number)
    return row("train_problems", number, **{"reference": code, "references": [code], "n_tests": 5, **values})


def test_pairs_are_similar_and_a_fifth_of_the_tests_apart(bench: Bench) -> None:
    solutions = [
        solution(1, 5),
        solution(2, 4),
        solution(3, 4, code="int solve(int x) { return x > 3 ? 1 : 0; }\n"),
        solution(4, 0, verdict=None, score=None, error="the sandbox did not answer"),
    ]
    inputs = {
        "sft_pass_k_solutions": frame("sft_pass_k_solutions", *solutions),
        "train_problems": frame("train_problems", problem(1)),
        "decontamination_report": frame("decontamination_report"),
    }
    made = bench.in_memory(rollouts.preference_pairs, inputs=inputs)["preference_pairs"]
    assert made.select("chosen", "rejected", "chosen_passed", "rejected_passed", "chosen_passes_all").rows() == [
        (CODE.format(n=1), CODE.format(n=2), 5, 4, True)
    ]
    assert made["similarity"].item() > 0.7
    assert made["instruction"].item() == "instruction 0"


def test_no_samples_make_no_pairs(bench: Bench) -> None:
    inputs = {name: frame(name) for name in ("sft_pass_k_solutions", "train_problems", "decontamination_report")}
    assert bench.in_memory(rollouts.preference_pairs, inputs=inputs)["preference_pairs"].is_empty()


class _Launcher:
    """Notes the problems that a sampling command is given, and answers with no solutions."""

    folder, table = Launcher.folder, Launcher.table

    def __init__(self) -> None:
        self.asked: list[str] = []

    def run(
        self, context: dg.AssetExecutionContext, module: str, arguments: dict[str, Any], output: Path, join: object
    ) -> None:
        self.asked = pl.read_parquet(arguments["problems"])["problem_id"].to_list()
        frame("pass_k_solutions").write_parquet(output / "solutions.parquet")


@pytest.mark.parametrize(
    ("asset", "checkpoint"),
    [(rollouts.pass_k_solutions, "base_checkpoint"), (rollouts.sft_pass_k_solutions, "sft_checkpoint")],
)
def test_problems_near_held_out_ones_are_not_sampled(bench: Bench, asset: dg.AssetsDefinition, checkpoint: str) -> None:
    launcher = _Launcher()
    bench.resources |= {"launcher": launcher, "sandbox": SandboxResource(url="http://127.0.0.1:9")}
    bench.write("train_problems", frame("train_problems", *(problem(n) for n in range(4))))
    hit = row("decontamination_report", table="train_problems", row_id="problem_id 2")
    bench.write("decontamination_report", frame("decontamination_report", hit))
    work = bench.store.work(checkpoint, "planted")
    work.mkdir(parents=True, exist_ok=True)
    (work / "result.json").write_text("{}")
    bench.store.publish("checkpoints", work, stamp(Recipe(checkpoint, (), "", ""), None, "", "planted", None))
    assert bench.run([asset]).success
    assert sorted(launcher.asked) == ["problem_id 0", "problem_id 1", "problem_id 3"]


def test_problems_near_held_out_ones_make_no_pairs(bench: Bench) -> None:
    solutions = [
        solution(n, passed, problem_id=f"problem_id {p}") for p in (1, 2) for n, passed in ((p, 5), (p + 5, 4))
    ]
    hit = row("decontamination_report", table="train_problems", row_id="problem_id 1")
    inputs = {
        "sft_pass_k_solutions": frame("sft_pass_k_solutions", *solutions),
        "train_problems": frame("train_problems", problem(1), problem(2)),
        "decontamination_report": frame("decontamination_report", hit),
    }
    made = bench.in_memory(rollouts.preference_pairs, inputs=inputs)["preference_pairs"]
    assert made["problem_id"].to_list() == ["problem_id 2"]


def test_prompts_hold_tests_answers_and_pass_rate(bench: Bench) -> None:
    solutions = [solution(1, 5, count=1, k=4), solution(2, 2, count=3, k=4)]
    hits = [
        row("decontamination_report", table="train_problems", row_id="problem_id 2"),
        row("decontamination_report", table="docstring_pairs", row_id="problem_id 3"),
    ]
    inputs = {
        "train_problems": frame("train_problems", *(problem(n) for n in (1, 2, 3)), problem(4, n_tests=0)),
        "sft_pass_k_solutions": frame("sft_pass_k_solutions", *solutions),
        "decontamination_report": frame("decontamination_report", *hits),
    }
    made = bench.in_memory(rollouts.gspo_prompts, inputs=inputs)["gspo_prompts"]
    assert dict(made.select("problem_id", "pass_rate").rows()) == {"problem_id 1": 0.25, "problem_id 3": None}
    sampled = made.row(0, named=True)
    assert [s["code"] for s in sampled["reference_solutions"]] == [CODE.format(n=101), CODE.format(n=1)]
    assert [n["code"] for n in sampled["negative_samples"]] == [CODE.format(n=2)]


def test_the_pool_is_as_large_as_the_preset_says(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollouts, "PRESET", replace(PRESET, train_problems=2))
    inputs = {
        "train_problems": frame("train_problems", *(problem(n) for n in range(5))),
        "sft_pass_k_solutions": frame("sft_pass_k_solutions"),
        "decontamination_report": frame("decontamination_report"),
    }
    assert bench.in_memory(rollouts.gspo_prompts, inputs=inputs)["gspo_prompts"].height == 2

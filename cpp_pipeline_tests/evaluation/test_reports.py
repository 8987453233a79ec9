"""Reports: figures, files, targets, control; the numbers come from tables as `rollouts.sample` writes them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cpp_pipeline.evaluation.cmake_eval import SCHEMA, answer_row, targets_f1
from cpp_pipeline.evaluation.model_page import check_targets, control_words, model_report
from cpp_pipeline.evaluation.reports import agent_report, cmake_report, code_report, funnel, router_report
from cpp_pipeline.problems.family import generate
from cpp_pipeline.rollouts.merge import distinct_candidates, solution_row
from cpp_pipeline.sandbox.types import CMakeResult, Result
from cpp_pipeline.schemas import TABLES
from cpp_pipeline_tests.evaluation.material import solutions

N = 24


@pytest.fixture(scope="module")
def problem_rows() -> list[dict[str, Any]]:
    return generate(0, N, 0)[1]


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory, problem_rows: list[dict[str, Any]]) -> Path:
    path = tmp_path_factory.mktemp("problems") / "problems.parquet"
    TABLES["eval_problems"].frame(problem_rows).sink_parquet(path)
    return path


def _page(folder: Path) -> str:
    text = (folder / "index.html").read_text()
    assert text.startswith("<!doctype html>")
    assert not re.search(r'(src|href)="http', text)
    return text


def test_code_report_has_figures_differences_and_a_page(
    tmp_path: Path, problem_rows: list[dict[str, Any]], problems: Path
) -> None:
    before = solutions(tmp_path / "before.parquet", problem_rows, 1)
    after = solutions(tmp_path / "after.parquet", problem_rows, 2)
    greedy = solutions(tmp_path / "greedy.parquet", problem_rows, 1, k=1)
    metrics = code_report("sft_eval", after, greedy, problems, tmp_path, [("base_eval", before)])
    assert json.loads((tmp_path / "metrics.json").read_text()) == metrics
    assert metrics["pass@1"]["value"] == pytest.approx(0.375)
    assert metrics["pass@1"]["n"] == N
    assert metrics["pass@4"]["value"] == pytest.approx(0.75)
    assert metrics["greedy"]["value"] == pytest.approx(0.75)
    assert metrics["compile_rate"]["value"] == pytest.approx(0.375)
    assert 0.7 < metrics["codebleu"]["value"] < 0.9
    assert metrics["pass@1 (family)"] == metrics["pass@1"]
    difference = metrics["pass@1 - base_eval"]
    assert metrics["pass@1 (family) - base_eval"] == difference
    assert difference["value"] == pytest.approx(0.1875)
    assert 0.1 < difference["low"] < 0.1875 < difference["high"] < 0.25
    text = _page(tmp_path)
    assert text.count("data:image/png;base64,") == 5
    assert "tests</b></p><pre>" in text


def test_code_report_without_greedy_and_without_verdicts(
    tmp_path: Path, problem_rows: list[dict[str, Any]], problems: Path
) -> None:
    sampled = solutions(tmp_path / "s.parquet", problem_rows, 2)
    assert "greedy" not in code_report("base_eval", sampled, None, problems, tmp_path)
    lost = pl.scan_parquet(sampled).with_columns(
        *(pl.lit(None, dtype=pl.String).alias(c) for c in ("verdict", "category")),
        error=pl.lit("worker_lost"),
    )
    lost.sink_parquet(tmp_path / "lost.parquet")
    with pytest.raises(ValueError, match="no sample was judged"):
        code_report("base_eval", tmp_path / "lost.parquet", None, problems, tmp_path)


def test_funnel_only_narrows(tmp_path: Path, problem_rows: list[dict[str, Any]]) -> None:
    found = funnel(pl.scan_parquet(solutions(tmp_path / "s.parquet", problem_rows, 2)))
    assert list(found.values()) == [96, 96, 36, 36, 36, 36]


def test_markup_in_code_is_escaped(tmp_path: Path, problem_rows: list[dict[str, Any]], problems: Path) -> None:
    candidate = distinct_candidates(problem_rows[0]["problem_id"], "p", [("<script>alert(1)</script>", 1, False)])[0]
    row = solution_row(candidate, Result(candidate.solution_id, "CE", False, 0, 10))
    TABLES["pass_k_solutions"].frame([row]).sink_parquet(tmp_path / "s.parquet")
    code_report("base_eval", tmp_path / "s.parquet", None, problems, tmp_path)
    assert "<script>" not in _page(tmp_path)


def test_cmake_report(tmp_path: Path) -> None:
    rows = []
    for name in ("p0", "p1", "p2"):
        problem = {"problem_id": name, "targets": ["EXECUTABLE:app", "STATIC_LIBRARY:core"]}
        for greedy, sample_id in ((True, 0), (False, 0), (False, 1)):
            answer = {"greedy": greedy, "sample_id": sample_id, "response": "project(x)\n", "truncated": False}
            exact = name != "p2"
            targets = problem["targets"] if exact else ["EXECUTABLE:app"]
            rows.append(answer_row(problem, answer, CMakeResult("j", "configure", True, True, None, list(targets))))
    samples = tmp_path / "samples"
    samples.mkdir()
    pl.DataFrame(rows, schema=SCHEMA).write_parquet(samples / "rows.parquet")
    metrics = cmake_report("cmake_eval", samples, tmp_path)
    assert metrics["configure_ok"]["value"] == 1
    assert metrics["targets_f1"]["value"] == pytest.approx((1 + 1 + 2 / 3) / 3)
    assert metrics["greedy_targets_exact"]["value"] == pytest.approx(2 / 3)
    assert "Furthest stage" in _page(tmp_path)


def test_an_answer_that_does_not_configure_has_no_targets() -> None:
    answer = {"greedy": True, "sample_id": 0, "response": "", "truncated": False}
    row = answer_row(
        {"problem_id": "p", "targets": []}, answer, CMakeResult("j", "configure", True, False, None, [], "error")
    )
    assert (row["configure_ok"], row["targets_f1"], row["targets_exact"]) == (False, 0.0, False)


def test_f1_of_targets() -> None:
    assert targets_f1(["a", "b"], ["b", "c"]) == pytest.approx(0.5)
    assert targets_f1([], []) == 1
    assert targets_f1([], ["a"]) == 0


def test_router_and_agent_reports(tmp_path: Path) -> None:
    samples = tmp_path / "samples"
    samples.mkdir()
    columns = {
        "row_id": ["a", "b"],
        "utterance": ["do it", "build"],
        "tool": ["generate_code", "none"],
        "predicted": ["generate_code", "execute_code"],
        "tool_ok": [True, False],
        "arguments_ok": [True, False],
    }
    pl.DataFrame(columns).write_parquet(samples / "rows.parquet")
    by_tool = {"generate_code": {"n": 1, "tool_ok": 1, "exact": 1}, "none": {"n": 1, "tool_ok": 0, "exact": 0}}
    facts = {"n": 2, "tool_ok": 1, "parse_ok": 2, "calls": 1, "arguments_ok": 1, "by_tool": by_tool}
    (samples / "result.json").write_text(json.dumps({"metrics": facts}))
    metrics = router_report("router_eval", samples, tmp_path / "router")
    assert {m: v["value"] for m, v in metrics.items()} == {
        "routing": 0.5,
        "parses": 1.0,
        "arguments_exact": 1.0,
        "routing: generate_code": 1.0,
        "routing: none": 0.0,
    }
    _page(tmp_path / "router")
    agent = agent_report("agent_eval", samples, tmp_path / "agent")
    assert agent["tool_ok"]["value"] == 0.5
    assert agent["tool_ok"]["n"] == 2


def _metric(value: float, low: float, high: float) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "n": 128}


FOUND = {
    "base_eval": {
        "pass@1": _metric(0.3, 0.25, 0.35),
        "pass@1 (family)": _metric(0.3, 0.25, 0.35),
        "codebleu": _metric(0.5, 0.4, 0.6),
    },
    "sft_eval": {"pass@1": _metric(0.4, 0.35, 0.45), "pass@1 (family) - base_eval": _metric(0.1, 0.06, 0.14)},
    "gspo_eval": {"pass@1": _metric(0.5, 0.45, 0.55), "pass@1 (family) - sft_eval": _metric(0.1, -0.01, 0.2)},
    "sft_control_eval": {"pass@1": _metric(0.7, 0.65, 0.75), "pass@8": _metric(0.9, 0.8, 0.95)},
    "router_eval": {},
}
STAGES: dict[str, dict[str, Any]] = {
    "gspo_checkpoint": {"steps": 144, "tokens": 9000, "cpu_seconds": 239.4, "weights_sha256": "ab" * 32},
    "sft_control_checkpoint": {"steps": 120, "tokens": 4000, "cpu_seconds": 53.0, "weights_sha256": "cd" * 32},
    "cmake_checkpoint": {},
}


def test_model_report_writes_page_card_and_targets(tmp_path: Path) -> None:
    for name, metrics in FOUND.items():
        (tmp_path / name).mkdir()
        if metrics:
            (tmp_path / name / "metrics.json").write_text(json.dumps(metrics))
    out = tmp_path / "report"
    merged = model_report("tiny", {n: tmp_path / n for n in FOUND}, STAGES, out)
    assert merged["gspo_eval pass@1 (family) - sft_eval"] == FOUND["gspo_eval"]["pass@1 (family) - sft_eval"]
    targets = json.loads((out / "targets.json").read_text())
    assert [t["met"] for t in targets] == [True, True, False]
    text = _page(out)
    for shown in ("control: more SFT", "0.450 to 0.550", "239", "Not measured in this run: router_eval", "abababab"):
        assert shown in text
    card = (out / "model_card.md").read_text()
    assert "| control: more SFT | 0.700 | 0.650 to 0.750 | 0.900 (k = 8) |" in card
    assert "gspo_eval: pass@1 (family) - sft_eval, lower end of the interval > 0 | -0.010 | no |" in card


def test_targets_by_preset() -> None:
    assert check_targets("smoke", FOUND) == []
    d16 = check_targets("d16", FOUND)
    assert [t["met"] for t in d16] == [True, True, False, True, False, True, False]
    assert d16[-1]["measured"] is None


def test_the_control_is_told_as_it_is() -> None:
    assert "239 CPU seconds" in control_words(FOUND, STAGES)
    assert "More supervised steps do better" in control_words(FOUND, STAGES)
    better = {**FOUND, "sft_control_eval": {"pass@1": _metric(0.45, 0.4, 0.5)}}
    assert "did not do better" in control_words(better, STAGES)
    assert "was not measured" in control_words({}, STAGES)

"""The model report in a browser: one file that shows its plots and tables and asks nobody for anything."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cpp_pipeline.evaluation.model_page import CODE_EVALS, model_report
from cpp_pipeline.evaluation.reports import code_report, tally_report
from cpp_pipeline.problems.family import generate
from cpp_pipeline.schemas import TABLES
from cpp_pipeline_tests.evaluation.material import solutions
from cpp_pipeline_tests.ui.conftest import Shoot

if TYPE_CHECKING:
    from playwright.sync_api import Page

PROBLEMS = 12
PASSING = {"base_eval": 1, "sft_eval": 2, "gspo_eval": 3, "sft_control_eval": 2}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`reports/model_report` of four code evaluations and one of the router, made of small tables."""
    folder = tmp_path_factory.mktemp("reports")
    problem_rows = generate(0, PROBLEMS, 0)[1]
    problems = folder / "problems.parquet"
    TABLES["eval_problems"].frame(problem_rows).sink_parquet(problems)
    before: list[tuple[str, Path]] = []
    for name in CODE_EVALS:
        sampled = solutions(folder / f"{name}.parquet", problem_rows, PASSING[name])
        code_report(name, sampled, None, problems, folder / name, before[-1:])
        before.append((name, sampled))
    tally_report("router_eval", {"routing": (9, 10), "parses": (10, 10)}, folder / "router_eval", "Requests.")
    stages = {"sft_checkpoint": {"steps": 4, "tokens": 2048, "cpu_seconds": 3.5, "weights_sha256": "ab" * 32}}
    evaluations = {name: folder / name for name in (*CODE_EVALS, "router_eval")}
    model_report("tiny", evaluations, stages, folder / "model_report")
    return folder / "model_report"


def test_the_report_shows_plots_and_tables_and_stands_alone(report: Path, page: Page, shoot: Shoot) -> None:
    trouble: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: trouble.append(message.text))
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("request", lambda request: asked.append(request.url.partition(",")[0]))
    address = (report / "index.html").as_uri()
    page.goto(address)
    widths = page.get_by_role("img").evaluate_all("images => images.map(image => image.naturalWidth)")
    assert len(widths) == 2 and min(widths) > 400  # pass@1 by stage, and the paired differences
    assert page.get_by_role("row").filter(has_text="control: more SFT").count() == 1
    assert page.get_by_role("table").count() == 4  # code models, targets, router, training
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(overflow) == 0
    assert trouble == []
    assert {url for url in asked if not url.startswith("data:image/png;base64")} == {address}
    shoot("model-report")

"""Tables as `rollouts.sample` writes them, for reports to be made of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cpp_pipeline.rollouts.merge import distinct_candidates, solution_row
from cpp_pipeline.sandbox.types import Result
from cpp_pipeline.schemas import TABLES


def solutions(path: Path, problem_rows: Sequence[dict[str, Any]], passing: int, k: int = 4) -> Path:
    """k samples a problem, `passing` of them accepted (none for every fourth problem)."""
    rows = []
    for number, problem in enumerate(problem_rows):
        good = 0 if number % 4 == 0 else passing
        samples = [(problem["reference"], 40, False)] * good + [("int solve(", 3, True)] * (k - good)
        for candidate in distinct_candidates(problem["problem_id"], "prompt", samples):
            right = candidate.code == problem["reference"]
            passed = 10 if right else 0
            result = Result(candidate.solution_id, "AC" if right else "CE", right, passed, 10)
            rows.append(solution_row(candidate, result))
    TABLES["pass_k_solutions"].frame(rows).sink_parquet(path)
    return path

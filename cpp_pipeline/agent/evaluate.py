"""Run the whole agent on end-to-end tasks and judge its answers.

    python -m cpp_pipeline.agent.evaluate --problems agent_problems.parquet --router DIR --code DIR --cmake DIR \\
        --sandbox-url URL --output DIR

Belongs here: running, judging by what the agent did not see, and counts. Does not belong here: intervals, plots.
Writes `rows.parquet` (one task a line) and, last and create-only, `result.json`. A task that could not be judged
(trouble of our own) has `success` null and is not counted as a failure.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from cpp_pipeline.agent.__main__ import add_agent_arguments, load_agent, open_sandbox
from cpp_pipeline.agent.loops import code_job
from cpp_pipeline.agent.orchestrator import Orchestrator
from cpp_pipeline.agent.ports import Sandbox
from cpp_pipeline.agent.results import finish, refuse_finished
from cpp_pipeline.agent.tools import ANALYZE_CODE, EXECUTE_CODE, GENERATE_CMAKE, GENERATE_CODE
from cpp_pipeline.agent.trace import Trace
from cpp_pipeline.settings import Settings

SCHEMA = pl.Schema(
    {
        "problem_id": pl.String(),
        "tool": pl.String(),
        "routed": pl.String(),
        "routed_ok": pl.Boolean(),
        "confidence": pl.Float64(),
        "success": pl.Boolean(),
        "iterations": pl.Int64(),
        "verdict": pl.String(),
        "error": pl.String(),
        "sentence": pl.String(),
        "answer": pl.String(),
        "trace": pl.String(),
    }
)


class UnjudgedError(Exception):
    """The sandbox could not judge an answer; this is no verdict on it."""


def succeeded(row: dict[str, Any], trace: Trace, sandbox: Sandbox) -> bool:
    """Whether the agent's answer is right, by means that the agent did not have.

    Raises
    ------
    UnjudgedError
        When the sandbox gives an error instead of a verdict.
    """
    expected, outcome = json.loads(row["expected"]), trace.outcome
    if trace.tool != row["tool"]:
        return False
    if row["tool"] == GENERATE_CODE:
        if not outcome.answer:
            return False
        result = sandbox.verify(code_job(row["problem_id"], outcome.answer, row["signature"], json.loads(row["tests"])))
        if result.error is not None:
            raise UnjudgedError(result.error)
        return bool(result.verdict == expected["verdict"])
    if row["tool"] == GENERATE_CMAKE:
        return outcome.success is True and set(expected["targets"]) <= set(outcome.targets)
    if row["tool"] == EXECUTE_CODE:
        return bool(outcome.verdict == expected["verdict"])
    if row["tool"] == ANALYZE_CODE:
        kind = trace.arguments.get("analysis_type")
        return kind == expected["analysis_type"] and any(f["line"] == expected["line"] for f in outcome.findings)
    raise ValueError(f"{row['problem_id']}: no way to judge tool {row['tool']!r}")


def run_problem(agent: Orchestrator, row: dict[str, Any], seed: int) -> dict[str, Any]:
    """One task: run, judge, one row of the result."""
    trace = agent.run(row["request"], json.loads(row["attachments"]), seed)
    errors = [s.summary for s in trace.steps if s.state == "error" and s.summary.startswith("sandbox: ")]
    success: bool | None = None
    if not errors:
        try:
            success = succeeded(row, trace, agent.sandbox)
        except UnjudgedError as e:
            errors.append(str(e))
    return {
        "problem_id": row["problem_id"],
        "tool": row["tool"],
        "routed": trace.tool,
        "routed_ok": trace.tool == row["tool"],
        "confidence": trace.confidence,
        "success": success,
        "iterations": trace.outcome.iterations,
        "verdict": trace.outcome.verdict,
        "error": errors[0] if errors else None,
        "sentence": trace.outcome.sentence,
        "answer": trace.outcome.answer,
        "trace": json.dumps(trace.to_json()),
    }


def evaluate(agent: Orchestrator, problems: Iterable[dict[str, Any]], seed: int) -> pl.DataFrame:
    """All tasks, in order, with progress on stderr."""
    rows = []
    for i, problem in enumerate(problems):
        rows.append(run_problem(agent, problem, seed))
        done = rows[-1]
        print(f"agent: {i + 1} {done['problem_id']} {done['success']}", file=sys.stderr, flush=True)
    return pl.DataFrame(rows, schema=SCHEMA)


def counts(rows: pl.DataFrame) -> dict[str, Any]:
    """Counts for result.json: judged, right, routed right; by tool; right answers by iteration."""
    judged = rows.filter(pl.col("success").is_not_null())
    by_tool = {
        tool: {
            "n": len(part),
            "success": int(part["success"].sum()),
            "routed": int(part["routed_ok"].sum()),
        }
        for (tool,), part in sorted(judged.group_by("tool"))
    }
    iterations = Counter(judged.filter("success")["iterations"].to_list())
    return {
        "n": len(judged),
        "errors": len(rows) - len(judged),
        "success": int(judged["success"].sum()),
        "routed": int(judged["routed_ok"].sum()),
        "by_tool": by_tool,
        "success_by_iteration": {str(k): v for k, v in sorted(iterations.items())},
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    settings = Settings.from_env()
    parser = argparse.ArgumentParser(prog="python -m cpp_pipeline.agent.evaluate", description=__doc__)
    parser.add_argument("--problems", type=Path, required=True, help="agent_problems.parquet")
    parser.add_argument("--output", type=Path, required=True)
    add_agent_arguments(parser, settings)
    args = parser.parse_args(argv)
    refuse_finished(args.output)
    started = time.process_time()
    with open_sandbox(args.sandbox_url, settings) as sandbox:
        agent = load_agent(args, sandbox)
        rows = evaluate(agent, pl.read_parquet(args.problems).iter_rows(named=True), args.seed)
    finish(args.output, "agent_eval", rows, counts(rows), time.process_time() - started)


if __name__ == "__main__":
    main()

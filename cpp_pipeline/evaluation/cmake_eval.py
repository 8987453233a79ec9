"""Ask a CMake specialist for held-out projects and configure its answers.

Belongs here: the command `python -m cpp_pipeline.evaluation.cmake_eval`: sampling, judging, rows.
Does not belong here: figures and intervals (`reports.cmake_report`), cmake itself (`sandbox`).
Writes rows.parquet (one answer a row) and, last, result.json.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl
import torch

from cpp_pipeline.corpus.formats import EOT, chat_prompt
from cpp_pipeline.corpus.tokenizer import decode, encode_with_specials, load_tokenizer, special_id
from cpp_pipeline.models.build import load_model, weights_sha256
from cpp_pipeline.models.sampling import sample
from cpp_pipeline.rollouts.job import RESULT, Progress, commit_json
from cpp_pipeline.sandbox.client import SandboxClient
from cpp_pipeline.sandbox.types import CMakeJob, CMakeResult
from cpp_pipeline.settings import Settings

MAX_ERROR_SHARE = 0.05
REQUESTS_AT_ONCE = 4
SCHEMA = pl.Schema(
    {
        "problem_id": pl.String(),
        "greedy": pl.Boolean(),
        "sample_id": pl.Int64(),
        "response": pl.String(),
        "truncated": pl.Boolean(),
        "stage": pl.String(),
        "configure_ok": pl.Boolean(),
        "build_ok": pl.Boolean(),
        "targets": pl.List(pl.String()),
        "targets_f1": pl.Float64(),
        "targets_exact": pl.Boolean(),
        "message": pl.String(),
        "error": pl.String(),
    }
)

Row = dict[str, Any]


class VerdictsMissing(RuntimeError):
    """Too many answers could not be judged, for reasons of our own."""


def targets_f1(found: Sequence[str], wanted: Sequence[str]) -> float:
    """F1 of two sets of `kind:name` targets; 1 when both are empty."""
    right = len(set(found) & set(wanted))
    total = len(set(found)) + len(set(wanted))
    return 2 * right / total if total else 1.0


def answer_row(problem: Row, answer: Row, result: CMakeResult) -> Row:
    """A row of rows.parquet. An answer that does not configure has no targets: F1 is 0, exact is false."""
    configured = result.error is None and bool(result.configure_ok)
    return {
        "problem_id": problem["problem_id"],
        **answer,
        "stage": result.stage,
        "configure_ok": configured,
        "build_ok": result.build_ok,
        "targets": list(result.targets),
        "targets_f1": targets_f1(result.targets, problem["targets"]) if configured else 0.0,
        "targets_exact": configured and set(result.targets) == set(problem["targets"]),
        "message": result.message[:2000],
        "error": result.error,
    }


def sample_answers(args: argparse.Namespace, problems: Sequence[Row]) -> tuple[list[list[Row]], str]:
    """For each problem its greedy answer and `--samples` at temperature 1, and the weights' hash."""
    model, tok = load_model(args.checkpoint_path), load_tokenizer(args.checkpoint_path)
    prompts = [encode_with_specials(tok, chat_prompt(p["instruction"])) for p in problems]
    room = int(model.config.max_position_embeddings) - max(map(len, prompts))
    if room < 1:
        raise ValueError(f"the longest instruction of {args.problems} fills the model's context")
    answers: list[list[Row]] = [[] for _ in problems]
    for greedy, count in ((True, 1), (False, args.samples)):
        if count == 0:
            continue
        drawn = sample(
            model,
            prompts,
            count,
            min(args.max_new_tokens, room),
            0.0 if greedy else 1.0,
            [special_id(tok, EOT)],
            args.seed,
            [p["problem_id"] for p in problems],
        )
        for found, completions in zip(answers, drawn, strict=True):
            found += [
                {"greedy": greedy, "sample_id": i, "response": decode(tok, c.ids), "truncated": c.truncated}
                for i, c in enumerate(completions)
            ]
    return answers, weights_sha256(model)


def judge(client: SandboxClient, problem: Row, answers: Sequence[Row], build: bool) -> list[Row]:
    """Rows of one problem; equal answers are configured once."""
    known: dict[str, CMakeResult] = {}
    rows = []
    for answer in answers:
        text = answer["response"]
        if text not in known:
            name = f"{problem['problem_id']}#{len(known)}"
            known[text] = client.cmake(CMakeJob(name, text, problem["files"], [], build))
        rows.append(answer_row(problem, answer, known[text]))
    return rows


def summary(rows: Sequence[Row]) -> Row:
    """What result.json says of the answers.

    Answers with an error have no verdict: they are counted, and take no part in a share. A share of no answers
    is None.

    Raises
    ------
    VerdictsMissing
        When more than MAX_ERROR_SHARE of the answers have no verdict.
    """
    errors = [r["error"] for r in rows if r["error"] is not None]
    if len(errors) > MAX_ERROR_SHARE * len(rows):
        raise VerdictsMissing(f"{len(errors)} of {len(rows)} answers have no verdict; first: {errors[0]}")
    judged = [r for r in rows if r["error"] is None]
    greedy = [r for r in judged if r["greedy"]]

    def share(of: Sequence[Row], column: str) -> float | None:
        return sum(r[column] for r in of) / len(of) if of else None

    return {
        "answers": len(rows),
        "errors": len(errors),
        "greedy_configure_ok": share(greedy, "configure_ok"),
        "greedy_targets_exact": share(greedy, "targets_exact"),
        "truncated_share": share(judged, "truncated"),
    }


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Flags of the command."""
    parser = argparse.ArgumentParser(prog="python -m cpp_pipeline.evaluation.cmake_eval", description=__doc__)
    parser.add_argument("--problems", type=Path, required=True, help="parquet of cmake_problems")
    parser.add_argument("--checkpoint_path", type=Path, required=True, help="Hugging Face folder")
    parser.add_argument("--samples", type=int, default=4, help="samples at temperature 1 beside the greedy one")
    parser.add_argument("--max_new_tokens", type=int, default=512)
    parser.add_argument("--build", action="store_true", help="also build what configures")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="CPU threads of torch")
    parser.add_argument("--sandbox-url", required=True, help="controller that runs cmake")
    parser.add_argument(
        "--sandbox-token", default=None, help="bearer token of the controller; default: the setting SANDBOX_TOKEN"
    )
    parser.add_argument("--output", type=Path, required=True)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> Row:
    """Run the command; returns what result.json holds."""
    args = parse_arguments(arguments)
    if (args.output / RESULT).exists():
        raise FileExistsError(f"{args.output} is finished; choose another --output")
    args.output.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads)
    started = time.process_time()
    problems = pl.scan_parquet(args.problems).filter(split="eval").sort("problem_id").collect().to_dicts()
    if not problems:
        raise ValueError(f"{args.problems}: no row with split 'eval'; materialize `cmake_problems` again")
    answers, weights = sample_answers(args, problems)
    rows: list[Row] = []
    with (
        SandboxClient(args.sandbox_url, args.sandbox_token or Settings.from_env().sandbox_token or None) as client,
        Progress("cmake_eval", len(problems)) as progress,
        ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool,
    ):
        judged = pool.map(lambda p, a: judge(client, p, a, args.build), problems, answers)
        for number, found in enumerate(judged, start=1):
            rows += found
            progress.report(number, f"problems, {sum(r['configure_ok'] for r in rows)}/{len(rows)} configure")
    metrics = {"problems": len(problems), **summary(rows)}
    pl.DataFrame(rows, schema=SCHEMA).write_parquet(args.output / "rows.parquet")
    spent = time.process_time() - started
    result = {"stage": "cmake_eval", "weights_sha256": weights, "cpu_seconds": spent, "metrics": metrics}
    commit_json(result, args.output / RESULT)
    return result


if __name__ == "__main__":
    main()

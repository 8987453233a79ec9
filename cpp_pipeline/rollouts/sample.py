"""Sample k solutions of each problem with a checkpoint and have them judged.

Belongs here: the command `python -m cpp_pipeline.rollouts.sample`: prompts, shards, judging beside sampling.
Does not belong here: the sampler (`models.sampling`), rows and counts (`merge`), verdicts (`sandbox`).

Work is cut into shards of problems. A finished shard is committed once, so that a killed job goes on where
it was; the output is complete when `result.json` is there.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import torch
from tokenizers import Tokenizer
from transformers import PreTrainedModel

from cpp_pipeline.corpus.formats import EOT, Kind, chat_prompt, code_from_completion, structured_fim_prompt
from cpp_pipeline.corpus.tokenizer import decode, encode_with_specials, load_tokenizer, special_id
from cpp_pipeline.models.build import load_model, weights_sha256
from cpp_pipeline.models.sampling import Completion, sample
from cpp_pipeline.problems.judging import job
from cpp_pipeline.rollouts.job import Progress, commit_parquet, start_output
from cpp_pipeline.rollouts.merge import Candidate, distinct_candidates, solution_row
from cpp_pipeline.rollouts.parts import finish, finish_part, read_part
from cpp_pipeline.sandbox.client import SandboxClient
from cpp_pipeline.sandbox.types import Result
from cpp_pipeline.schemas import TABLES
from cpp_pipeline.settings import Settings

SHARD_PROBLEMS = 32
MAX_ERROR_SHARE = 0.05
"""Part of all samples that may stay without a verdict before the job fails."""

Row = dict[str, Any]


class VerdictsMissing(RuntimeError):
    """Too many samples could not be judged, for reasons of our own."""


@dataclass(frozen=True)
class Task:
    """One shard of problems under one way of sampling."""

    name: str
    problems: tuple[Row, ...]
    k: int
    temperature: float


@dataclass(frozen=True)
class Sampler:
    """A model with everything that turns problems into candidates."""

    model: PreTrainedModel
    tokenizer: Tokenizer
    kind: Kind
    max_new_tokens: int
    seed: int

    def candidates(self, task: Task) -> list[list[Candidate]]:
        """For each problem of the task its distinct candidates. Deterministic."""
        prompts = [prompt_text(self.kind, p) for p in task.problems]
        drawn = sample(
            self.model,
            [encode_with_specials(self.tokenizer, p) for p in prompts],
            task.k,
            self.max_new_tokens,
            task.temperature,
            [special_id(self.tokenizer, EOT)],
            self.seed,
            [p["problem_id"] for p in task.problems],
        )
        triples = zip(task.problems, prompts, drawn, strict=True)
        return [distinct_candidates(p["problem_id"], text, self._codes(p, c)) for p, text, c in triples]

    def _codes(self, problem: Row, completions: Sequence[Completion]) -> list[tuple[str, int, bool]]:
        return [
            (code_from_completion(self.kind, problem, decode(self.tokenizer, c.ids)), len(c.ids), c.truncated)
            for c in completions
        ]

    def fits(self, problem: Row) -> bool:
        """Whether the prompt leaves room for an answer in the model's context."""
        length = len(encode_with_specials(self.tokenizer, prompt_text(self.kind, problem)))
        return length + self.max_new_tokens <= int(self.model.config.max_position_embeddings)


def prompt_text(kind: Kind, problem: Row) -> str:
    """What the model continues: structured FIM for base models, a chat turn for tuned ones."""
    if kind == "fim":
        return structured_fim_prompt(problem["doc"], problem["signature"])
    return chat_prompt(problem["instruction"])


def tasks(problems: Sequence[Row], k: int, temperature: float, greedy: bool) -> list[Task]:
    """Cut the problems into shards; with `greedy` each shard is also asked for its likeliest answer."""
    found = []
    for number, start in enumerate(range(0, len(problems), SHARD_PROBLEMS)):
        part = tuple(problems[start : start + SHARD_PROBLEMS])
        found.append(Task(f"solutions-{number:05d}", part, k, temperature))
        if greedy:
            found.append(Task(f"greedy-{number:05d}", part, 1, 0.0))
    return found


def part_of(work: Sequence[Task], number: int, total: int) -> list[Task]:
    """The tasks of one of `total` parts; a shard's tasks stay together."""
    return [t for t in work if int(t.name.rpartition("-")[2]) % total == number]


def judge(client: SandboxClient, task: Task, candidates: list[list[Candidate]]) -> list[Row]:
    """Rows of pass_k_solutions, in the order of problems and samples."""
    jobs = [
        job(problem, c.code, c.solution_id)
        for problem, group in zip(task.problems, candidates, strict=True)
        for c in group
    ]
    results: list[Result] = client.batch_verify(jobs) if jobs else []
    flat = [c for group in candidates for c in group]
    return [solution_row(c, r) for c, r in zip(flat, results, strict=True)]


@dataclass
class Ledger:
    """Shards that are done, and samples that stayed without a verdict."""

    shards: Path
    progress: Progress
    total_samples: int
    errors: int = 0
    done: int = 0

    def resume(self, work: Sequence[Task]) -> list[Task]:
        """The tasks still to do; counts the shards that earlier attempts left, with their errors."""
        there = [path for t in work if (path := self._path(t)).exists()]
        self.done = len(there)
        failed = (pl.scan_parquet(p).filter(pl.col("error").is_not_null()).select(pl.col("count").sum()) for p in there)
        self.errors = sum(frame.collect().item() for frame in failed)
        return [t for t in work if not self._path(t).exists()]

    def _path(self, task: Task) -> Path:
        return self.shards / f"{task.name}.parquet"

    def commit(self, task: Task, rows: list[Row], cpu_seconds: float) -> None:
        """Keep a judged shard, unless too many samples have no verdict by now."""
        failed = [r for r in rows if r["error"] is not None]
        self.errors += sum(r["count"] for r in failed)
        if self.errors > MAX_ERROR_SHARE * self.total_samples:
            raise VerdictsMissing(
                f"{self.errors} of {self.total_samples} samples have no verdict, more than {MAX_ERROR_SHARE:.0%}; "
                f"for instance: {failed[0]['error'] if failed else 'see the shards'}. "
                "Run `cpp-pipeline sandbox check`, then start the command again: it goes on where it was."
            )
        frame = TABLES["pass_k_solutions"].frame(rows).collect()
        commit_parquet(frame, self._path(task), {"cpu_seconds": repr(cpu_seconds)})
        self.done += 1
        passed = sum(r["count"] for r in rows if r["verdict"] == "AC") / max(1, frame["count"].sum())
        self.progress.report(self.done, f"shards, {passed:.3f} of the last pass, {self.errors} errors")


def run(sampler: Sampler, work: Sequence[Task], client: SandboxClient, shards: Path, progress: Progress) -> None:
    """Sample and judge every task that has no shard yet; one is judged while the next is sampled.

    Raises
    ------
    VerdictsMissing
        When more than MAX_ERROR_SHARE of all samples have no verdict; the shard at hand is not kept.
    """
    ledger = Ledger(shards, progress, sum(t.k * len(t.problems) for t in work))
    missing = ledger.resume(work)
    with ThreadPoolExecutor(1, thread_name_prefix="judge") as judging:
        pending: tuple[Task, Future[list[Row]], float] | None = None
        for task in missing:
            started = time.thread_time()
            found = sampler.candidates(task)
            cpu_seconds = time.thread_time() - started
            if pending is not None:
                ledger.commit(pending[0], pending[1].result(), pending[2])
            pending = (task, judging.submit(judge, client, task, found), cpu_seconds)
        if pending is not None:
            ledger.commit(pending[0], pending[1].result(), pending[2])


def load_problems(path: Path) -> list[Row]:
    """Problems in file order.

    Raises
    ------
    ValueError
        When the file holds no problem with tests.
    """
    columns = ["problem_id", "doc", "instruction", "signature", "preamble", "tests", "test_code", "n_tests"]
    rows = pl.scan_parquet(path).select(columns).filter(pl.col("n_tests") > 0).collect().to_dicts()
    if not rows:
        raise ValueError(f"{path} holds no problem with tests; materialize train_problems or eval_problems")
    return rows


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Flags of the command."""
    parser = argparse.ArgumentParser(prog="python -m cpp_pipeline.rollouts.sample", description=__doc__)
    parser.add_argument("--problems", type=Path, required=True, help="parquet of train_problems or eval_problems")
    parser.add_argument("--checkpoint_path", type=Path, required=True, help="Hugging Face folder")
    parser.add_argument("--format", choices=("fim", "chat"), required=True, help="fim for base models")
    parser.add_argument("--k", type=int, default=32, help="samples per problem")
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--max_new_tokens", type=int, default=256)
    parser.add_argument("--greedy", action="store_true", help="also sample once at temperature 0")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="CPU threads of torch")
    parser.add_argument("--sandbox-url", required=True, help="controller that judges code")
    parser.add_argument(
        "--sandbox-token", default=None, help="bearer token of the controller; default: the setting SANDBOX_TOKEN"
    )
    parser.add_argument(
        "--part", type=read_part, default=None, metavar="I/N", help="make only the shards of part I, from 0; no merge"
    )
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--overwrite", action="store_true", help="sample again over a finished folder")
    args = parser.parse_args(arguments)
    if args.k < 1 or args.temperature < 0:
        parser.error(f"--k {args.k}: at least 1; --temperature {args.temperature}: at least 0")
    return args


def identity(args: argparse.Namespace, weights: str) -> Iterator[tuple[str, Any]]:
    """What two runs must share for one to go on with the other's shards."""
    yield "weights_sha256", weights
    yield "problems_sha256", hashlib.sha256(args.problems.read_bytes()).hexdigest()
    for flag in ("format", "k", "temperature", "max_new_tokens", "greedy", "seed"):
        yield flag, getattr(args, flag)


def main(arguments: Sequence[str] | None = None) -> Row:
    """Run the command; returns what result.json holds."""
    args = parse_arguments(arguments)
    torch.set_num_threads(args.threads)
    model = load_model(args.checkpoint_path)
    facts: Row = dict(identity(args, weights_sha256(model)))
    start_output(args.output, facts, args.overwrite)
    sampler = Sampler(model, load_tokenizer(args.checkpoint_path), args.format, args.max_new_tokens, args.seed)
    rows = load_problems(args.problems)
    fitting = [r for r in rows if sampler.fits(r)]
    if not fitting:
        raise ValueError(f"no prompt of {args.problems} leaves room for {args.max_new_tokens} new tokens")
    work = tasks(fitting, args.k, args.temperature, args.greedy)
    work = work if args.part is None else part_of(work, *args.part)
    token = args.sandbox_token or Settings.from_env().sandbox_token or None
    with Progress("sample", len(work)) as progress, SandboxClient(args.sandbox_url, token) as client:
        if len(fitting) < len(rows):
            progress.say(f"{len(rows) - len(fitting)} problems are left out: their prompts fill the context")
        run(sampler, work, client, args.output / "shards", progress)
        end = finish if args.part is None else finish_part
        result = end(args.output, {"stage": "sample", **facts, "problems_left_out": len(rows) - len(fitting)})
        progress.say(f"finished: {result['metrics']}")
    return result


if __name__ == "__main__":
    main()

"""Train with Group Sequence Policy Optimization against real verdicts.

Belongs here: flags, the loop over generations, figures of the run. Does not belong here: sampling and
judging (`gspo_rollout`), the update (`gspo_update`), the objective (`gspo_loss`).

    python -m cpp_pipeline.training.gspo --prompts gspo_prompts.parquet --checkpoint_path sft \\
        --sandbox-url http://127.0.0.1:8080 --output gspo
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import polars as pl
import torch
from tokenizers import Tokenizer
from transformers import PreTrainedModel

from cpp_pipeline.corpus.tokenizer import load_tokenizer
from cpp_pipeline.models.build import load_model
from cpp_pipeline.sandbox.client import SandboxClient
from cpp_pipeline.settings import Settings
from cpp_pipeline.training import gspo_update as update
from cpp_pipeline.training.common import METRICS, Run, add_common_arguments
from cpp_pipeline.training.gspo_logprobs import MICRO_TOKENS
from cpp_pipeline.training.gspo_loss import LEVELS
from cpp_pipeline.training.gspo_rollout import (
    REWARDS,
    Generation,
    Prompt,
    RolloutConfig,
    Verify,
    load_prompts,
    roll_out,
)
from cpp_pipeline.training.stage import script, start_process
from cpp_pipeline.training.state import append_line, file_sha256

DEFAULT_OPTIMIZER_STEPS = 500
BETAS = (0.9, 0.95)
FINAL_LR_SHARE = 0.05
MAX_LOGP_GAP = 1e-4
"""nats per token between sampler and trainer; the clip range itself is 3e-4 wide"""
ROLLOUT_TIMING = "rollout_timing.jsonl"
"""beside metrics.jsonl, which holds no times, so that it repeats for the same seed"""
SUMMARY_GENERATIONS = 5


def parser() -> argparse.ArgumentParser:
    """Flags of the stage; the defaults are the method's."""
    p = argparse.ArgumentParser(prog="python -m cpp_pipeline.training.gspo", description=__doc__)
    add_common_arguments(p)
    # The judge works beside the sampler, and small matrices gain nothing from further threads.
    p.set_defaults(threads=max(1, (os.cpu_count() or 1) // 2))
    p.add_argument("--checkpoint_path", type=Path, required=True, help="model to start from")
    p.add_argument("--prompts", type=Path, required=True, help="gspo_prompts.parquet")
    p.add_argument("--sandbox-url", required=True, help="controller that judges completions")
    p.add_argument("--groups", type=int, default=32, help="prompts a generation")
    p.add_argument("--group_size", type=int, default=8, help="completions a prompt")
    p.add_argument("--generations", type=int, help="default: --num_iterations optimizer steps / --steps_per_generation")
    p.add_argument("--steps_per_generation", type=int, default=4, help="mini-batches a generation")
    p.add_argument("--epsilon", type=float, default=3e-4, help="clip range below ratio 1")
    p.add_argument("--epsilon_high", type=float, default=4e-4, help="clip range above ratio 1")
    p.add_argument("--lr", type=float, default=5e-5, help="peak learning rate of Adam")
    p.add_argument("--warmup_generations", type=int, default=3)
    p.add_argument("--beta", type=float, default=0.0, help="weight of a KL term; only 0, as in the paper")
    p.add_argument("--importance_sampling_level", choices=LEVELS, default="sequence")
    p.add_argument("--reward", choices=REWARDS, default="binary")
    p.add_argument("--max_new_tokens", type=int, default=256, help="longer answers are failures")
    p.add_argument(
        "--old_logprobs",
        choices=("auto", "sampler", "trainer"),
        default="auto",
        help="whose log-probabilities are the old policy's; auto: the sampler's in fp32 (CPU)",
    )
    p.add_argument("--chunk_prompts", type=int, default=16, help="prompts that are sampled together")
    p.add_argument("--micro_tokens", type=int, default=None, help="padded tokens in one backward pass")
    return p


def main(argv: Sequence[str] | None = None) -> None:
    """Train, or continue an interrupted run in --output."""
    args = parser().parse_args(argv)
    with SandboxClient(args.sandbox_url, token=Settings.from_env().sandbox_token or None) as client:
        train(args, client.batch_verify)


def train(args: argparse.Namespace, verify: Verify) -> dict[str, Any]:
    """Run the stage with parsed flags and a judge; returns what result.json holds.

    Each step of the run is one generation: draw prompts, sample, judge, a training pass. All randomness
    is a function of (seed, generation), so a resumed run ends with the weights of an uninterrupted one.
    """
    generations = _checked_generations(args)
    start_process(args)
    model = load_model(args.checkpoint_path)
    tokenizer = load_tokenizer(args.checkpoint_path)
    room = model.config.max_position_embeddings - args.max_new_tokens
    prompts = load_prompts(pl.scan_parquet(args.prompts), tokenizer, room)
    plan = _plan(args, generations, model.device.type)
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr, betas=BETAS, fused=True)
    trainer = _Trainer(model, tokenizer, prompts, optimizer, plan, verify)
    inputs = {"checkpoint": file_sha256(args.checkpoint_path), "prompts": file_sha256(args.prompts)}
    with Run(
        args,
        stage="gspo",
        config={**asdict(plan), **inputs},
        model=model,
        optimizer=optimizer,
        tokenizer_folder=args.checkpoint_path,
        total_steps=generations,
    ) as run:
        for generation in run.steps():
            done = trainer.generation(generation)
            append_line(run.output / ROLLOUT_TIMING, {"generation": generation, **done.timing})
            run.record(generation, done.metrics, tokens=done.tokens)
        return run.finish(summary(run.output / METRICS))


@dataclass(frozen=True)
class _Plan:
    """What determines a run besides its inputs."""

    generations: int
    lr: float
    warmup_generations: int
    retrace: bool
    """old log-probabilities come from the trainer's forward pass"""
    rollout: RolloutConfig
    objective: update.UpdateConfig


@dataclass(frozen=True)
class _Done:
    """A finished generation: figures that repeat for the same seed, clock and CPU times, tokens."""

    metrics: dict[str, float]
    timing: dict[str, float]
    tokens: int


@dataclass(frozen=True)
class _Trainer:
    """The parts that a generation needs; `generation` changes model and optimizer in place."""

    model: PreTrainedModel
    tokenizer: Tokenizer
    prompts: Sequence[Prompt]
    optimizer: torch.optim.Optimizer
    plan: _Plan
    verify: Verify

    def generation(self, number: int) -> _Done:
        """Sample, judge, train once."""
        plan = self.plan
        rolled = roll_out(
            self.model,
            self.tokenizer,
            self.prompts,
            generation=number,
            config=plan.rollout,
            verify=self.verify,
        )
        begun = time.process_time()
        groups, flat = update.live_groups(rolled.rollouts)
        steps = plan.objective.steps_per_generation
        batches = update.mini_batches(groups, steps, plan.rollout.seed, number)
        gap: dict[str, float] = {}
        if plan.retrace and batches:
            batches, gap["logp_gap"] = update.with_trainer_logprobs(self.model, batches, plan.objective.micro_tokens)
        lr = plan.lr * lr_multiplier(number, plan.generations, plan.warmup_generations)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        stats = update.train_pass(self.model, self.optimizer, batches, plan.objective)
        _require_same_policy(stats)
        timing = {
            "sampling_cpu_seconds": rolled.sampling_cpu_seconds,
            "training_cpu_seconds": time.process_time() - begun,
            "sandbox_seconds": rolled.judging_seconds,
            "sandbox_wait_seconds": rolled.waiting_seconds,
        }
        return _Done(
            {**rollout_metrics(rolled, flat), **stats.metrics(), "lr": lr, **gap},
            {name: round(value, 4) for name, value in timing.items()},
            sum(r.row.tokens for r in rolled.rollouts),
        )


def _plan(args: argparse.Namespace, generations: int, device: str) -> _Plan:
    rollout = RolloutConfig(
        groups=args.groups,
        group_size=args.group_size,
        max_new_tokens=args.max_new_tokens,
        seed=args.seed,
        reward=args.reward,
        chunk_prompts=args.chunk_prompts,
    )
    objective = update.UpdateConfig(
        epsilon=args.epsilon,
        epsilon_high=args.epsilon_high,
        steps_per_generation=args.steps_per_generation,
        level=args.importance_sampling_level,
        micro_tokens=args.micro_tokens or MICRO_TOKENS[device],
    )
    retrace = args.old_logprobs == "trainer" or (args.old_logprobs == "auto" and device != "cpu")
    return _Plan(generations, args.lr, args.warmup_generations, retrace, rollout, objective)


def _checked_generations(args: argparse.Namespace) -> int:
    if args.beta != 0:
        raise ValueError(f"--beta {args.beta}: the objective has no KL term (arXiv 2507.18071, eq. 5); use 0")
    if args.group_size < 2 or args.steps_per_generation < 1:
        raise ValueError(
            f"--group_size {args.group_size}: at least 2, to have a group to compare with; "
            f"--steps_per_generation {args.steps_per_generation}: at least 1"
        )
    if not 0 < args.epsilon < 1 or args.epsilon_high <= 0 or args.lr <= 0:
        raise ValueError("--epsilon must lie in (0, 1), --epsilon_high and --lr above 0")
    if args.generations is not None and args.steps is not None:
        raise ValueError("give --generations or --num_iterations (optimizer steps), not both")
    if args.generations is not None:
        generations = int(args.generations)
    else:
        steps = DEFAULT_OPTIMIZER_STEPS if args.steps is None else args.steps
        generations = -(-int(steps) // int(args.steps_per_generation))
    return generations


def lr_multiplier(generation: int, generations: int, warmup: int) -> float:
    """Linear warm-up over `warmup` generations, then linear to 5 % in the last one.

    The first steps of Adam are sign steps at the full rate, hence the warm-up.
    """
    warmup = min(warmup, generations)
    if generation < warmup:
        return (generation + 1) / warmup
    return 1.0 - (1.0 - FINAL_LR_SHARE) * (generation - warmup + 1) / (generations - warmup)


def rollout_metrics(rolled: Generation, zero_variance_share: float) -> dict[str, float]:
    """Figures of a generation's rollouts: lengths in tokens, shares of all rollouts."""
    rollouts = rolled.rollouts
    known = [r.reward for r in rollouts if r.reward is not None]
    return {
        "reward": fmean(known),
        "accuracy": fmean(r.verdict == "AC" for r in rollouts if r.reward is not None),
        "zero_variance_share": zero_variance_share,
        "length_tokens": fmean(len(r.row.completion_ids) for r in rollouts),
        "truncated_share": fmean(r.truncated for r in rollouts),
        "none_share": 1 - len(known) / len(rollouts),
        "distinct_judged": rolled.judged,
    }


def _require_same_policy(stats: update.UpdateStats) -> None:
    gap = max(stats.first_gaps, default=0.0)
    if gap > MAX_LOGP_GAP:
        raise RuntimeError(
            f"sampler and trainer differ by {gap:.2g} nats a token on the same weights, more than "
            f"{MAX_LOGP_GAP:g}: use --old_logprobs trainer"
        )


def summary(metrics: Path) -> dict[str, float]:
    """Figures of the whole run from its metrics.jsonl."""
    rows = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    trained = [row for row in rows if row["optimizer_steps"]]
    found = {
        "generations": len(rows),
        "optimizer_steps": sum(row["optimizer_steps"] for row in rows),
        "distinct_judged": sum(row["distinct_judged"] for row in rows),
        "accuracy_first": fmean(row["accuracy"] for row in rows[:SUMMARY_GENERATIONS]),
        "accuracy_last": fmean(row["accuracy"] for row in rows[-SUMMARY_GENERATIONS:]),
        **{
            name: fmean(row[name] for row in rows)
            for name in ("zero_variance_share", "length_tokens", "truncated_share", "none_share")
        },
    }
    if trained:
        found["clip_fraction"] = fmean(row["clip_fraction"] for row in trained)
        found["logp_gap"] = max(row["logp_gap"] for row in trained)
    return found


if __name__ == "__main__":
    script(main)

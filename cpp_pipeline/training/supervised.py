"""The loop over instruction and response rows that SFT and the CMake specialist share.

Belongs here: flags, order of rows and loss of supervised training.
Does not belong here: where the starting weights are from (`sft`, `cmake`).
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path

from transformers import PreTrainedModel

from cpp_pipeline.corpus.tokenizer import load_tokenizer, tokenizer_sha256
from cpp_pipeline.models.build import special_ids
from cpp_pipeline.models.optim import make_optimizers
from cpp_pipeline.models.presets import PRESETS, preset
from cpp_pipeline.training.common import Run
from cpp_pipeline.training.data import Supervised, micro_batches, read_supervised, row_indices
from cpp_pipeline.training.group import Group
from cpp_pipeline.training.loop import train_step
from cpp_pipeline.training.state import file_sha256

Schedule = Callable[[int, int], float]


def add_supervised_arguments(flags: argparse.ArgumentParser, lr_scale: float) -> None:
    """Flags of both stages; `lr_scale` is the default factor on all learning rates."""
    flags.add_argument("--data", type=Path, required=True, help="parquet with instruction, response, weight")
    flags.add_argument("--preset", choices=list(PRESETS), default="tiny", help="defaults of the other flags")
    flags.add_argument("--epochs", type=float, default=None, help="instead of --steps: passes over the rows")
    flags.add_argument("--batch", type=int, default=None, help="rows a step; default: by preset")
    flags.add_argument("--micro_batch", type=int, default=8, help="rows a forward; less padding, less memory")
    flags.add_argument("--lr_scale", type=float, default=lr_scale, help="factor on all learning rates")


def step_count(args: argparse.Namespace, rows: int, batch: int, default: int) -> int:
    """Steps by --steps, --epochs or the preset.

    Raises
    ------
    ValueError
        When both flags are given.
    """
    if args.steps is not None and args.epochs is not None:
        raise ValueError("give --steps or --epochs, not both")
    if args.epochs is not None:
        return max(1, math.ceil(float(args.epochs) * rows / batch))
    steps: int = default if args.steps is None else args.steps
    return steps


def read_rows(args: argparse.Namespace, tokenizer_folder: Path, context: int) -> Supervised:
    """Rows of --data that fit twice the preset's row length and the model's context."""
    limit = min(2 * preset(args.preset).seq_tokens, context)
    return read_supervised(args.data, load_tokenizer(tokenizer_folder), limit)


def train_supervised(
    args: argparse.Namespace,
    *,
    stage: str,
    model: PreTrainedModel,
    tokenizer_folder: Path,
    default_steps: int,
    schedule: Schedule,
    origin: str,
    group: Group,
) -> None:
    """Train `model` on the answers of --data, or continue an interrupted run in --output.

    Parameters
    ----------
    schedule
        (step, total steps) -> factor on the learning rates.
    origin
        Name of the starting weights for the run's configuration: a hash, or what they are made from.
    """
    rows = read_rows(args, tokenizer_folder, model.config.max_position_embeddings)
    batch: int = preset(args.preset).sft_batch if args.batch is None else args.batch
    steps = step_count(args, len(rows.examples), batch, default_steps)
    pad_id = special_ids(tokenizer_folder)[1]
    model.train()
    optimizer = make_optimizers(model, args.lr_scale)
    config = {
        "preset": args.preset,
        "seed": args.seed,
        "steps": steps,
        "batch": batch,
        "micro_batch": args.micro_batch,
        "lr_scale": args.lr_scale,
        "data": file_sha256(args.data),
        "origin": origin,
        "tokenizer": tokenizer_sha256(tokenizer_folder),
    }
    with Run(
        args,
        stage=stage,
        config=config,
        model=model,
        optimizer=optimizer,
        tokenizer_folder=tokenizer_folder,
        total_steps=steps,
        group=group,
    ) as run:
        for step in run.steps():
            chosen = [rows.examples[i] for i in row_indices(rows.weights, step, batch, args.seed)]
            multiplier = schedule(step, steps)
            parts = micro_batches(chosen, group.micro_rows(args.micro_batch, batch), pad_id)
            done = train_step(model, optimizer, parts, multiplier, group)
            metrics = {"loss": done.loss, "grad_norm": done.grad_norm, "lr_multiplier": multiplier}
            run.record(step, metrics, tokens=done.target_tokens)
        run.finish(
            {
                "loss": run.recent("loss"),
                "rows": len(rows.examples),
                "rows_skipped_long": rows.skipped_long,
                "epochs": steps * batch / len(rows.examples),
            }
        )

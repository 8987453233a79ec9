"""Pretrain a base model on packed token shards.

    python -m cpp_pipeline.training.base --shards DIR --tokenizer DIR --preset tiny --output DIR
    torchrun --standalone --nproc-per-node=8 -m cpp_pipeline.training.base ...   # one process a GPU

Belongs here: the loop over shards. Does not belong here: packing and the FIM mix (`corpus`).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cpp_pipeline.corpus.shards import Shards, open_shards
from cpp_pipeline.corpus.tokenizer import tokenizer_sha256
from cpp_pipeline.models.build import new_model
from cpp_pipeline.models.optim import make_optimizers
from cpp_pipeline.models.presets import PRESETS, preset
from cpp_pipeline.training.common import Run, add_common_arguments, decay_half
from cpp_pipeline.training.loop import IGNORE, Batch, train_step
from cpp_pipeline.training.stage import script, start_group


def parser() -> argparse.ArgumentParser:
    """Flags of the stage."""
    flags = argparse.ArgumentParser(prog="python -m cpp_pipeline.training.base", description=__doc__)
    add_common_arguments(flags)
    flags.add_argument("--shards", type=Path, required=True, help="folder of packed token shards")
    flags.add_argument("--tokenizer", type=Path, required=True, help="tokenizer folder of the shards")
    flags.add_argument("--preset", choices=list(PRESETS), default="tiny")
    flags.add_argument("--batch", type=int, default=None, help="rows a step; default: by preset")
    flags.add_argument("--micro_batch", type=int, default=16, help="rows a forward; changes memory only")
    return flags


def batches(shards: Shards, step: int, batch: int, micro: int, seed: int) -> list[Batch]:
    """Micro-batches of a step; every token but padding is a target."""
    rows = shards.batch(step, batch, seed)
    inputs = np.ascontiguousarray(rows[:, :-1])
    targets = np.where(rows[:, 1:] == shards.pad_id, IGNORE, rows[:, 1:])
    return [Batch(inputs[i : i + micro], targets[i : i + micro]) for i in range(0, batch, micro)]


def main(argv: Sequence[str] | None = None) -> None:
    """Train, or continue an interrupted run in --output."""
    args = parser().parse_args(argv)
    group = start_group(args)
    chosen = preset(args.preset)
    steps: int = chosen.base_steps if args.steps is None else args.steps
    batch: int = chosen.base_batch if args.batch is None else args.batch
    shards = open_shards(args.shards)
    if shards.manifest["tokenizer_sha256"] != tokenizer_sha256(args.tokenizer):
        raise ValueError(f"{args.shards} was made with another tokenizer than {args.tokenizer}: remake it")
    model = new_model(chosen.shape, args.tokenizer, args.seed).train()
    optimizer = make_optimizers(model)
    config = {
        "preset": args.preset,
        "seed": args.seed,
        "steps": steps,
        "batch": batch,
        "micro_batch": args.micro_batch,
        "seq_tokens": shards.seq_tokens,
        "shards": [file["sha256"] for file in shards.manifest["files"]],
        "tokenizer": shards.manifest["tokenizer_sha256"],
    }
    with Run(
        args,
        stage="base",
        config=config,
        model=model,
        optimizer=optimizer,
        tokenizer_folder=args.tokenizer,
        total_steps=steps,
        group=group,
    ) as run:
        for step in run.steps():
            multiplier = decay_half(step, steps)
            parts = batches(shards, step, batch, group.micro_rows(args.micro_batch, batch), args.seed)
            done = train_step(model, optimizer, parts, multiplier, group)
            metrics = {"loss": done.loss, "grad_norm": done.grad_norm, "lr_multiplier": multiplier}
            run.record(step, metrics, tokens=done.target_tokens)
        run.finish(
            {
                "loss": run.recent("loss"),
                "parameters": sum(p.numel() for p in model.parameters()),
                "epochs": steps * batch / shards.rows,
            }
        )


if __name__ == "__main__":
    script(main)

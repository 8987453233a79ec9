"""Fine-tune a checkpoint on instructions and answers.

    python -m cpp_pipeline.training.sft --data combined_sft.parquet --checkpoint_path DIR --output DIR

Belongs here: the start from a checkpoint. Does not belong here: the loop (`supervised`), the rows (`corpus`).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from cpp_pipeline.models.build import load_model
from cpp_pipeline.models.presets import preset
from cpp_pipeline.training.common import add_common_arguments, decay_linear
from cpp_pipeline.training.stage import script, start_group
from cpp_pipeline.training.state import file_sha256
from cpp_pipeline.training.supervised import add_supervised_arguments, train_supervised

LR_SCALE = 0.3


def parser() -> argparse.ArgumentParser:
    """Flags of the stage."""
    flags = argparse.ArgumentParser(prog="python -m cpp_pipeline.training.sft", description=__doc__)
    add_common_arguments(flags)
    add_supervised_arguments(flags, LR_SCALE)
    flags.add_argument("--checkpoint_path", type=Path, required=True, help="model to start from")
    return flags


def main(argv: Sequence[str] | None = None) -> None:
    """Train, or continue an interrupted run in --output."""
    args = parser().parse_args(argv)
    group = start_group(args)
    train_supervised(
        args,
        stage="sft",
        model=load_model(args.checkpoint_path),
        tokenizer_folder=args.checkpoint_path,
        default_steps=preset(args.preset).sft_steps,
        schedule=decay_linear,
        origin=file_sha256(args.checkpoint_path),
        group=group,
    )


if __name__ == "__main__":
    script(main)

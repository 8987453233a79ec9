"""Train the CMake specialist from scratch on instructions and CMakeLists.txt answers.

    python -m cpp_pipeline.training.cmake --data cmake.parquet --tokenizer DIR --preset tiny --output DIR

Belongs here: the start from new weights. Does not belong here: the loop (`supervised`), the rows (`corpus`).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from cpp_pipeline.models.build import new_model
from cpp_pipeline.models.presets import preset
from cpp_pipeline.training.common import add_common_arguments, decay_half
from cpp_pipeline.training.stage import script, start_group
from cpp_pipeline.training.supervised import add_supervised_arguments, train_supervised

LR_SCALE = 1.0


def parser() -> argparse.ArgumentParser:
    """Flags of the stage."""
    flags = argparse.ArgumentParser(prog="python -m cpp_pipeline.training.cmake", description=__doc__)
    add_common_arguments(flags)
    add_supervised_arguments(flags, LR_SCALE)
    flags.add_argument("--tokenizer", type=Path, required=True, help="tokenizer folder")
    return flags


def main(argv: Sequence[str] | None = None) -> None:
    """Train, or continue an interrupted run in --output."""
    args = parser().parse_args(argv)
    group = start_group(args)
    chosen = preset(args.preset)
    train_supervised(
        args,
        stage="cmake",
        model=new_model(chosen.shape, args.tokenizer, args.seed),
        tokenizer_folder=args.tokenizer,
        default_steps=chosen.cmake_steps,
        schedule=decay_half,
        origin=f"new {chosen.shape}",
        group=group,
    )


if __name__ == "__main__":
    script(main)

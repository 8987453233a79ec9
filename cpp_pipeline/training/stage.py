"""How the process of a stage starts and ends.

Belongs here: threads, seed, the group, exit codes. Does not belong here: what a stage does between (`common`, `loop`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

import torch

from cpp_pipeline.training.group import Group, join

DIVERGED = 42
"""Exit code when another attempt would end the same way; Jobs do not try it again."""


class TrainingDivergedError(RuntimeError):
    """A metric became NaN or infinite; the message names the last good checkpoint."""


def start_process(args: argparse.Namespace) -> None:
    """Apply --threads and --seed to this process, which trains alone.

    Raises
    ------
    ValueError
        For threads that cannot be, or when `torchrun` started it beside others.
    """
    if start_group(args).world > 1:
        raise ValueError("this stage is one process: start it without torchrun, or with --nproc-per-node=1")


def start_group(args: argparse.Namespace) -> Group:
    """Apply --threads and --seed to this process, and join the others that train with it."""
    if args.threads < 1:
        raise ValueError(f"--threads {args.threads}: at least 1")
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    return join()


def script(main: Callable[[], None]) -> None:
    """Run a stage as a command; training that diverged ends with the exit code `DIVERGED`."""
    try:
        main()
    except TrainingDivergedError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(DIVERGED)

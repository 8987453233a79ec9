"""The two problem tables: all sources together, judged, and kept apart.

Belongs here: which sources a table has and that no problem is on both sides.
Does not belong here: the sources (`family`, `bundled`, `formats`, `mining`) and the verdicts (`verify`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from cpp_pipeline.models.presets import Preset
from cpp_pipeline.problems.bundled import bundled_problems
from cpp_pipeline.problems.family import generate
from cpp_pipeline.problems.formats import read_problems
from cpp_pipeline.problems.mining import mine
from cpp_pipeline.problems.verify import verified
from cpp_pipeline.schemas import TABLES

if TYPE_CHECKING:
    from cpp_pipeline.sandbox.client import SandboxClient


def eval_set(
    preset: Preset, seed: int, problem_sets: Sequence[Path], client: SandboxClient, scratch: Path
) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Rows of `eval_problems` and its quarantine: held-out family and bundled problems, and the user's sets.

    The family and bundled rows do not depend on `seed`.
    """
    table, quarantine = TABLES["eval_problems"], TABLES["eval_problems_quarantine"]
    family = generate(0, preset.eval_problems, seed)[1]
    frames = [table.frame(family + bundled_problems()[1])]
    refused = [quarantine.empty()]
    for path in problem_sets:
        rows, broken = read_problems(path)
        frames.append(rows)
        refused.append(broken)
    # The same problem may be in two sets; the first one counts.
    together = pl.concat(frames).unique("problem_id", keep="first", maintain_order=True)
    kept, failed = verified(together, client, scratch)
    # A foreign problem whose reference the judge refuses (other tolerances, other libraries) is not asked,
    # but training data are still held against it.
    unasked = together.filter(pl.col("test_code").is_not_null()).join(
        failed.select(problem_id="row_id"), on="problem_id", how="semi", maintain_order="left"
    )
    unasked = unasked.with_columns(tests=pl.lit("[]"), n_tests=pl.lit(0, pl.Int64))
    return table.conform(pl.concat([kept, unasked])), pl.concat([*refused, failed])


def train_set(
    preset: Preset,
    seed: int,
    pairs: pl.LazyFrame,
    client: SandboxClient,
    scratch: Path,
    log: Callable[[str], None],
) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Rows of `train_problems` and its quarantine: family, bundled, and problems mined from `pairs`."""
    table = TABLES["train_problems"]
    family = generate(preset.train_problems, 0, seed)[0]
    own, failed = verified(table.frame(family + bundled_problems()[0]), client, scratch)
    mined, rejected = mine(pairs, client, preset.mined_candidates, seed, log, scratch)
    # Mined references were run while mining; their tests are what they returned.
    rows = pl.concat([own, table.frame(mined)])
    return table.conform(rows), pl.concat([failed, rejected])

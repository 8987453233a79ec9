"""The prompt pool of GSPO: problems with tests, known answers and an estimated pass rate.

Belongs here: joining problems with what a model's judged samples say about them.
Does not belong here: which prompts a generation draws (`training.gspo`).
"""

from __future__ import annotations

import random

import polars as pl

from cpp_pipeline.rollouts.passk import by_problem
from cpp_pipeline.schemas import NEGATIVE, SOLUTION, TABLES

COMPILE_VERDICTS = ("CE", "CLE")
"""verdicts that count as `compile_error`; every other failure is a `wrong_answer`"""


def gspo_prompts(
    problems: pl.LazyFrame, solutions: pl.LazyFrame, limit: int | None = None, seed: int = 0
) -> pl.LazyFrame:
    """Build the prompt pool from problems and the judged samples of some of them.

    Parameters
    ----------
    problems
        Rows of `train_problems`; those without tests are left out, as nothing can reward them.
    solutions
        Rows of `sft_pass_k_solutions`. Problems that were not sampled keep a null pass rate; rows
        with an `error` have no verdict and are ignored.
    limit
        At most this many prompts, drawn without replacement: a pure function of `seed` and the ids.

    Returns
    -------
    LazyFrame
        `gspo_prompts`, ordered by problem_id. `reference_solutions` are the known references, then
        the accepted samples, each code once; `negative_samples` are the failed ones.
    """
    pool = problems.filter(pl.col("n_tests") >= 1)
    if limit is not None:
        if limit < 1:
            raise ValueError(f"a prompt pool needs a limit of at least 1, not {limit}")
        ids = sorted(pool.select("problem_id").collect().to_series().to_list())
        chosen = random.Random(f"gspo_prompts:{seed}").sample(ids, min(limit, len(ids)))
        pool = pool.filter(pl.col("problem_id").is_in(chosen))
    judged = solutions.filter(pl.col("error").is_null(), pl.col("verdict").is_not_null())
    frame = (
        pool.join(_references(pool, judged), on="problem_id", how="left")
        .join(_negatives(judged), on="problem_id", how="left")
        .join(
            by_problem(solutions).select("problem_id", pass_rate=pl.col("c") / pl.col("n")),
            on="problem_id",
            how="left",
        )
        .with_columns(
            pl.col("reference_solutions").fill_null([]).cast(pl.List(SOLUTION)),
            pl.col("negative_samples").fill_null([]).cast(pl.List(NEGATIVE)),
        )
        .sort("problem_id")
    )
    return TABLES["gspo_prompts"].conform(frame)


def _references(pool: pl.LazyFrame, judged: pl.LazyFrame) -> pl.LazyFrame:
    known = (
        pool.select("problem_id", code="references")
        .explode("code")
        .filter(pl.col("code").is_not_null(), pl.col("code") != "")
        .with_columns(known=True)
    )
    sampled = (
        judged.filter(pl.col("verdict") == "AC")
        .sort("problem_id", "sample_id", "solution_id")
        .select("problem_id", "code", known=False)
    )
    return (
        pl.concat([known, sampled])
        .unique(["problem_id", "code"], keep="first", maintain_order=True)
        .group_by("problem_id", maintain_order=True)
        .agg(reference_solutions=pl.struct("code", pl.lit(1.0).alias("score")))
    )


def _negatives(judged: pl.LazyFrame) -> pl.LazyFrame:
    error = (
        pl.when(pl.col("verdict").is_in(COMPILE_VERDICTS))
        .then(pl.lit("compile_error"))
        .otherwise(pl.lit("wrong_answer"))
    )
    return (
        judged.filter(pl.col("verdict") != "AC")
        .sort("problem_id", "sample_id", "solution_id")
        .group_by("problem_id", maintain_order=True)
        .agg(negative_samples=pl.struct("code", pl.col("score").fill_null(0.0), error.alias("error")))
    )

"""Problems: held-out ones, training ones, and what mutation makes of the training ones."""

import dagster as dg
import polars as pl

from cpp_pipeline.curate.representatives import without_duplicates
from cpp_pipeline.defs.code import VERDICTS
from cpp_pipeline.defs.resources import PRESET, SETTINGS
from cpp_pipeline.problems.assemble import eval_set, train_set
from cpp_pipeline.problems.repairs import near_misses as neighbours
from cpp_pipeline.problems.repairs import repair_rows as repairs
from cpp_pipeline.storage.assets import table_asset
from cpp_pipeline.storage.dumps import problem_sets
from cpp_pipeline.storage.scratch import scratch_folder

_SIZES = {"train": PRESET.train_problems, "eval": PRESET.eval_problems, "seed": SETTINGS.seed}
_SANDBOX = frozenset({"sandbox"})


@table_asset(
    "eval_problems",
    "eval_problems_quarantine",
    group="problems",
    kinds={"cpp", "polars"},
    code=["problems", *VERDICTS],
    config=_SIZES,
    deps=["sandbox_canaries"],
    resources=_SANDBOX,
    plots={"eval_problems": "source"},
)
def eval_problems(context: dg.AssetExecutionContext) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Gather the held-out problems and judge their references."""
    with context.resources.sandbox.client() as client:
        return eval_set(PRESET, SETTINGS.seed, problem_sets(context.resources.storage.store), client, scratch_folder())


@table_asset(
    "train_problems",
    "train_problems_quarantine",
    group="problems",
    kinds={"cpp", "polars"},
    code=["problems", *VERDICTS, "curate/similarity.py"],
    config={**_SIZES, "mined": PRESET.mined_candidates},
    deps=["sandbox_canaries"],
    resources=_SANDBOX,
    plots={"train_problems": "source"},
)
def train_problems(
    context: dg.AssetExecutionContext, docstring_pairs: pl.LazyFrame, duplicate_pairs: pl.LazyFrame
) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Gather, mine and judge the training problems."""
    pairs = without_duplicates(docstring_pairs, duplicate_pairs)
    with context.resources.sandbox.client() as client:
        return train_set(PRESET, SETTINGS.seed, pairs, client, scratch_folder(), context.log.info)


@table_asset(
    "repair_rows",
    group="problems",
    kinds={"cpp", "polars"},
    code=["problems", *VERDICTS],
    config={"limit": PRESET.sft_problems, "seed": SETTINGS.seed},
    deps=["sandbox_canaries"],
    resources=_SANDBOX,
    plots={"repair_rows": "operator"},
)
def repair_rows(context: dg.AssetExecutionContext, train_problems: pl.LazyFrame) -> pl.LazyFrame:
    """Judge mutants of references; those that fail become repairs."""
    with context.resources.sandbox.client() as client:
        return repairs(train_problems, client, PRESET.sft_problems, SETTINGS.seed)


@table_asset(
    "near_misses",
    group="problems",
    kinds={"cpp", "polars"},
    code=["problems", *VERDICTS],
    config={"limit": PRESET.sft_problems, "seed": SETTINGS.seed},
    deps=["sandbox_canaries"],
    resources=_SANDBOX,
    plots={"near_misses": "tests_passed"},
)
def near_misses(context: dg.AssetExecutionContext, train_problems: pl.LazyFrame) -> pl.LazyFrame:
    """Judge mutants of references; those that nearly pass become pairs."""
    with context.resources.sandbox.client() as client:
        return neighbours(train_problems, client, PRESET.sft_problems, SETTINGS.seed)

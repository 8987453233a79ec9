"""Rollouts: sampled and judged solutions, and what is learned from comparing them."""

import dagster as dg
import polars as pl

from cpp_pipeline.corpus.sft import chosen_problems
from cpp_pipeline.defs.resources import PRESET, SETTINGS
from cpp_pipeline.rollouts import preference, prompts
from cpp_pipeline.storage.assets import table_asset, work_folder
from cpp_pipeline.storage.store import scratch_file

_SAMPLING = {"k": PRESET.k, "problems": PRESET.pass_k_problems, "seed": SETTINGS.seed, "preset": PRESET.name}
_CODE = ["rollouts", "models", "sandbox", "corpus/formats.py"]
_NEEDS = frozenset({"launcher", "sandbox"})


def _sample(context: dg.AssetExecutionContext, checkpoint: str, form: str) -> pl.LazyFrame:
    """Sample k solutions of the chosen training problems with a checkpoint, judged."""
    store = context.resources.storage.store
    problems = scratch_file()
    chosen_problems(store.scan("train_problems"), PRESET.pass_k_problems, SETTINGS.seed).sink_parquet(problems)
    work = work_folder(context)
    context.resources.launcher.run(
        context,
        "cpp_pipeline.rollouts.sample",
        {
            "problems": problems,
            "checkpoint_path": store.local_folder("checkpoints", checkpoint),
            "format": form,
            "k": PRESET.k,
            "max_new_tokens": PRESET.max_new_tokens,
            "seed": SETTINGS.seed,
            "sandbox-url": context.resources.sandbox.address(),
        },
        work,
    )
    return pl.scan_parquet(work / "solutions.parquet")


@table_asset(
    "pass_k_solutions",
    group="rollouts",
    kinds={"pytorch", "cpp"},
    code=_CODE,
    config=_SAMPLING,
    deps=["base_checkpoint", "train_problems", "sandbox_canaries"],
    resources=_NEEDS,
    plots={"pass_k_solutions": "verdict"},
)
def pass_k_solutions(context: dg.AssetExecutionContext) -> pl.LazyFrame:
    return _sample(context, "base_checkpoint", "fim")


@table_asset(
    "sft_pass_k_solutions",
    group="rollouts",
    kinds={"pytorch", "cpp"},
    code=_CODE,
    config=_SAMPLING,
    deps=["sft_checkpoint", "train_problems", "sandbox_canaries"],
    resources=_NEEDS,
    plots={"sft_pass_k_solutions": "verdict"},
)
def sft_pass_k_solutions(context: dg.AssetExecutionContext) -> pl.LazyFrame:
    return _sample(context, "sft_checkpoint", "chat")


@table_asset(
    "preference_pairs",
    group="rollouts",
    kinds={"polars"},
    code=["rollouts/preference.py", "curate"],
    config={"min_similarity": 0.7, "min_margin": 0.2},
    plots={"preference_pairs": "margin"},
)
def preference_pairs(
    context: dg.AssetExecutionContext, sft_pass_k_solutions: pl.LazyFrame, train_problems: pl.LazyFrame
) -> pl.LazyFrame:
    return preference.pairs(sft_pass_k_solutions, train_problems, min_similarity=0.7, min_margin=0.2)


@table_asset(
    "gspo_prompts",
    group="rollouts",
    kinds={"polars"},
    code=["rollouts/prompts.py", "rollouts/passk.py"],
    config={"limit": PRESET.train_problems, "seed": SETTINGS.seed},
    plots={"gspo_prompts": "pass_rate"},
)
def gspo_prompts(
    context: dg.AssetExecutionContext,
    train_problems: pl.LazyFrame,
    sft_pass_k_solutions: pl.LazyFrame,
    decontamination_report: pl.LazyFrame,
) -> pl.LazyFrame:
    kept = train_problems.join(
        decontamination_report.filter(table="train_problems"),
        left_on="problem_id",
        right_on="row_id",
        how="anti",
    )
    return prompts.gspo_prompts(kept, sft_pass_k_solutions, PRESET.train_problems, SETTINGS.seed)

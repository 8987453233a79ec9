"""Rollouts: sampled and judged solutions, and what is learned from comparing them."""

import dagster as dg
import polars as pl

from cpp_pipeline.corpus.sft import chosen_problems, kept_problems
from cpp_pipeline.defs.code import VERDICTS
from cpp_pipeline.defs.resources import PRESET, SETTINGS
from cpp_pipeline.rollouts import preference, prompts
from cpp_pipeline.rollouts.parts import join_parts
from cpp_pipeline.storage.assets import table_asset, work_folder
from cpp_pipeline.storage.scratch import scratch_file

_SAMPLING = {"k": PRESET.k, "problems": PRESET.pass_k_problems, "seed": SETTINGS.seed, "preset": PRESET.name}
_CODE = ["rollouts", "models", *VERDICTS, "corpus/formats.py", "corpus/sft.py"]
_NEEDS = frozenset({"launcher", "sandbox"})


def _sample(context: dg.AssetExecutionContext, checkpoint: str, form: str) -> pl.LazyFrame:
    """Sample k solutions of the chosen training problems with a checkpoint, judged."""
    store = context.resources.storage.store
    problems = scratch_file()
    kept = kept_problems(store.scan("train_problems"), store.scan("decontamination_report"))
    chosen_problems(kept, PRESET.pass_k_problems, SETTINGS.seed).sink_parquet(problems)
    work = work_folder(context)
    context.resources.launcher.run(
        context,
        "cpp_pipeline.rollouts.sample",
        {
            "problems": problems,
            "checkpoint_path": context.resources.launcher.folder(store, "checkpoints", checkpoint),
            "format": form,
            "k": PRESET.k,
            "max_new_tokens": PRESET.max_new_tokens,
            "seed": SETTINGS.seed,
            "sandbox-url": context.resources.sandbox.address(),
        },
        work,
        join_parts,
    )
    return pl.scan_parquet(work / "solutions.parquet")


@table_asset(
    "pass_k_solutions",
    group="rollouts",
    kinds={"pytorch", "cpp"},
    code=_CODE,
    config=_SAMPLING,
    deps=["base_checkpoint", "train_problems", "decontamination_report", "sandbox_canaries"],
    resources=_NEEDS,
    plots={"pass_k_solutions": "verdict"},
)
def pass_k_solutions(context: dg.AssetExecutionContext) -> pl.LazyFrame:
    """Sample the base model, in its own FIM format."""
    return _sample(context, "base_checkpoint", "fim")


@table_asset(
    "sft_pass_k_solutions",
    group="rollouts",
    kinds={"pytorch", "cpp"},
    code=_CODE,
    config=_SAMPLING,
    deps=["sft_checkpoint", "train_problems", "decontamination_report", "sandbox_canaries"],
    resources=_NEEDS,
    plots={"sft_pass_k_solutions": "verdict"},
)
def sft_pass_k_solutions(context: dg.AssetExecutionContext) -> pl.LazyFrame:
    """Sample the SFT model, in chat format."""
    return _sample(context, "sft_checkpoint", "chat")


@table_asset(
    "preference_pairs",
    group="rollouts",
    kinds={"polars"},
    code=["rollouts/preference.py", "curate", "corpus/sft.py"],
    config={"min_similarity": preference.MIN_SIMILARITY, "min_margin": preference.MIN_MARGIN},
    plots={"preference_pairs": "margin"},
)
def preference_pairs(
    context: dg.AssetExecutionContext,
    sft_pass_k_solutions: pl.LazyFrame,
    train_problems: pl.LazyFrame,
    decontamination_report: pl.LazyFrame,
) -> pl.LazyFrame:
    """Pair similar solutions of clearly different score."""
    solutions = kept_problems(sft_pass_k_solutions, decontamination_report)
    problems = kept_problems(train_problems, decontamination_report)
    return preference.pairs(solutions, problems)


@table_asset(
    "gspo_prompts",
    group="rollouts",
    kinds={"polars"},
    code=["rollouts/prompts.py", "rollouts/passk.py", "corpus/sft.py"],
    config={"limit": PRESET.train_problems, "seed": SETTINGS.seed},
    plots={"gspo_prompts": "pass_rate"},
)
def gspo_prompts(
    context: dg.AssetExecutionContext,
    train_problems: pl.LazyFrame,
    sft_pass_k_solutions: pl.LazyFrame,
    decontamination_report: pl.LazyFrame,
) -> pl.LazyFrame:
    """Turn training problems into prompts with tests."""
    kept = kept_problems(train_problems, decontamination_report)
    return prompts.gspo_prompts(kept, sft_pass_k_solutions, PRESET.train_problems, SETTINGS.seed)

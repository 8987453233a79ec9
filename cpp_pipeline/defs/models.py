"""Models: every checkpoint, each made by one command of `training/` through the launcher."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg

from cpp_pipeline.corpus.cmake import cmake_training_rows
from cpp_pipeline.corpus.sft import kept_problems
from cpp_pipeline.defs.code import VERDICTS
from cpp_pipeline.defs.resources import PRESET, SETTINGS
from cpp_pipeline.rollouts.preference import training_pairs
from cpp_pipeline.storage.assets import folder_asset
from cpp_pipeline.storage.scratch import scratch_file
from cpp_pipeline.training.curves import loss_curve

_COMMON = ["models"]
_LAUNCH = frozenset({"launcher"})
Decorator = Callable[[Callable[..., Any]], dg.AssetsDefinition]


def _train(
    context: dg.AssetExecutionContext, work: Path, stage: str, **arguments: object
) -> dict[str, dg.MetadataValue]:
    """Run a stage; the plot of its metrics goes into the UI."""
    context.resources.launcher.run(
        context, f"cpp_pipeline.training.{stage}", {"seed": SETTINGS.seed, **arguments}, work
    )
    return {"curve": dg.MetadataValue.md(loss_curve(work / "metrics.jsonl", context.asset_key.path[-1]))}


def _checkpoint(context: dg.AssetExecutionContext, name: str) -> object:
    return context.resources.launcher.folder(context.resources.storage.store, "checkpoints", name)


def _table(context: dg.AssetExecutionContext, name: str) -> object:
    return context.resources.launcher.table(context.resources.storage.store, name)


def _model(
    name: str, *, deps: list[str], code: str, description: str, sandbox: bool = False, **config: Any
) -> Decorator:
    return folder_asset(
        name,
        kind="checkpoints",
        group="models",
        kinds={"pytorch", "huggingface"},
        deps=deps,
        code=[*_COMMON, code, *(VERDICTS if sandbox else [])],
        config={"preset": PRESET.name, "seed": SETTINGS.seed, **config},
        description=description,
        resources=_LAUNCH | ({"sandbox"} if sandbox else set()),
    )


@_model(
    "base_checkpoint",
    deps=["pretraining_corpus", "tokenizer"],
    code="training/base.py",
    description="Base model on the 40/40/20 mix; stock Qwen3 folder.",
    steps=PRESET.base_steps,
    batch=PRESET.base_batch,
)
def base_checkpoint(context: dg.AssetExecutionContext, work: Path) -> dict[str, Any]:
    """Train the base model."""
    return _train(
        context,
        work,
        "base",
        shards=context.resources.launcher.folder(context.resources.storage.store, "shards", "pretraining_corpus"),
        tokenizer=_checkpoint(context, "tokenizer"),
        preset=PRESET.name,
    )


@_model(
    "sft_checkpoint",
    deps=["base_checkpoint", "combined_sft"],
    code="training/sft.py",
    description="Supervised fine-tuning on `combined_sft`, loss on the answer.",
    steps=PRESET.sft_steps,
    batch=PRESET.sft_batch,
)
def sft_checkpoint(context: dg.AssetExecutionContext, work: Path) -> dict[str, Any]:
    """Fine-tune the base model."""
    return _train(
        context,
        work,
        "sft",
        data=_table(context, "combined_sft"),
        checkpoint_path=_checkpoint(context, "base_checkpoint"),
        steps=PRESET.sft_steps,
        batch=PRESET.sft_batch,
    )


@_model(
    "sft_control_checkpoint",
    deps=["sft_checkpoint", "combined_sft"],
    code="training/sft.py",
    description="Control beside GSPO: the same SFT data for more steps. Nothing is trained from it.",
    steps=PRESET.control_steps,
    batch=PRESET.sft_batch,
)
def sft_control_checkpoint(context: dg.AssetExecutionContext, work: Path) -> dict[str, Any]:
    """Fine-tune further instead of GSPO."""
    return _train(
        context,
        work,
        "sft",
        data=_table(context, "combined_sft"),
        checkpoint_path=_checkpoint(context, "sft_checkpoint"),
        steps=PRESET.control_steps,
        batch=PRESET.sft_batch,
    )


@_model(
    "preference_checkpoint",
    deps=["sft_checkpoint", "preference_pairs", "near_misses", "train_problems", "decontamination_report"],
    code="training/preference.py",
    description="DPO on `preference_pairs` and `near_misses`; an optional start for GSPO, not used by default.",
    steps=PRESET.preference_steps,
)
def preference_checkpoint(context: dg.AssetExecutionContext, work: Path) -> dict[str, Any]:
    """Train on pairs from the SFT model."""
    store = context.resources.storage.store
    problems = kept_problems(store.scan("train_problems"), store.scan("decontamination_report"))
    data = scratch_file()
    training_pairs(store.scan("preference_pairs"), store.scan("near_misses"), problems).sink_parquet(data)
    return _train(
        context,
        work,
        "preference",
        data=data,
        checkpoint_path=_checkpoint(context, "sft_checkpoint"),
        steps=PRESET.preference_steps,
    )


@_model(
    "gspo_checkpoint",
    deps=["sft_checkpoint", "gspo_prompts", "sandbox_canaries"],
    code="training/gspo.py",
    description="Group sequence policy optimization with verdicts of the sandbox as reward.",
    sandbox=True,
    generations=PRESET.gspo_generations,
    groups=PRESET.gspo_groups,
    group_size=PRESET.gspo_group_size,
    lr=PRESET.gspo_lr,
    epsilon=[PRESET.gspo_epsilon, PRESET.gspo_epsilon_high],
)
def gspo_checkpoint(context: dg.AssetExecutionContext, work: Path) -> dict[str, Any]:
    """Train on rewards from the sandbox."""
    return _train(
        context,
        work,
        "gspo",
        prompts=_table(context, "gspo_prompts"),
        checkpoint_path=_checkpoint(context, "sft_checkpoint"),
        generations=PRESET.gspo_generations,
        groups=PRESET.gspo_groups,
        group_size=PRESET.gspo_group_size,
        lr=PRESET.gspo_lr,
        epsilon=PRESET.gspo_epsilon,
        epsilon_high=PRESET.gspo_epsilon_high,
        max_new_tokens=PRESET.max_new_tokens,
        **{"sandbox-url": context.resources.sandbox.address()},
    )


@_model(
    "cmake_checkpoint",
    deps=["cmake_sft", "cmake_problems", "tokenizer"],
    code="training/cmake.py",
    description="CMake specialist from scratch, on dump rows that configured and on generated projects.",
    steps=PRESET.cmake_steps,
)
def cmake_checkpoint(context: dg.AssetExecutionContext, work: Path) -> dict[str, Any]:
    """Train the CMake specialist."""
    store = context.resources.storage.store
    data = scratch_file()
    cmake_training_rows(store.scan("cmake_sft"), store.scan("cmake_problems")).sink_parquet(data)
    return _train(
        context,
        work,
        "cmake",
        data=data,
        tokenizer=_checkpoint(context, "tokenizer"),
        preset=PRESET.name,
    )


@_model(
    "router_checkpoint",
    deps=["router_sft"],
    code="training/router.py",
    description="Router in FunctionGemma's format; at the tiny preset a small Gemma3 from scratch, which "
    "tests the format and the pipeline, not FunctionGemma's quality.",
    steps=PRESET.router_steps,
)
def router_checkpoint(context: dg.AssetExecutionContext, work: Path) -> dict[str, Any]:
    """Train the router."""
    return _train(
        context,
        work,
        "router",
        data=_table(context, "router_sft"),
        preset=PRESET.name,
        steps=PRESET.router_steps,
    )

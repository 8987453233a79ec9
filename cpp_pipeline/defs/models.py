"""Models: every checkpoint, each made by one command of `training/` through the launcher."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg

from cpp_pipeline.corpus.sft import kept_problems
from cpp_pipeline.defs.code import VERDICTS
from cpp_pipeline.defs.resources import PRESET, SETTINGS
from cpp_pipeline.rollouts.preference import training_pairs
from cpp_pipeline.storage.folder_assets import folder_asset
from cpp_pipeline.storage.previews import checkpoint_facts
from cpp_pipeline.storage.scratch import scratch_file

_LAUNCH = frozenset({"launcher"})
Decorator = Callable[[Callable[..., Any]], dg.AssetsDefinition]


def _train(context: dg.AssetExecutionContext, work: Path, stage: str, **arguments: object) -> None:
    """Run a stage."""
    context.resources.launcher.run(
        context, f"cpp_pipeline.training.{stage}", {"seed": SETTINGS.seed, **arguments}, work
    )


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
        shown=checkpoint_facts,
        group="models",
        kinds={"pytorch", "huggingface"},
        deps=deps,
        code=["models", code, *(VERDICTS if sandbox else [])],
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
def base_checkpoint(context: dg.AssetExecutionContext, work: Path) -> None:
    """Train the base model."""
    _train(
        context,
        work,
        "base",
        shards=context.resources.launcher.folder(context.resources.storage.store, "shards", "pretraining_corpus"),
        tokenizer=_checkpoint(context, "tokenizer"),
        preset=PRESET.name,
    )


def _sft(name: str, parent: str, steps: int, description: str) -> dg.AssetsDefinition:
    @_model(
        name,
        deps=[parent, "combined_sft"],
        code="training/sft.py",
        description=description,
        steps=steps,
        batch=PRESET.sft_batch,
    )
    def fine_tune(context: dg.AssetExecutionContext, work: Path) -> None:
        _train(
            context,
            work,
            "sft",
            data=_table(context, "combined_sft"),
            checkpoint_path=_checkpoint(context, parent),
            steps=steps,
            batch=PRESET.sft_batch,
        )

    return fine_tune


sft_checkpoint = _sft(
    "sft_checkpoint",
    "base_checkpoint",
    PRESET.sft_steps,
    "Supervised fine-tuning on `combined_sft`, loss on the answer.",
)
sft_control_checkpoint = _sft(
    "sft_control_checkpoint",
    "sft_checkpoint",
    PRESET.control_steps,
    "Control beside GSPO: the same SFT data for more steps. Nothing is trained from it.",
)


@_model(
    "preference_checkpoint",
    deps=["sft_checkpoint", "preference_pairs", "near_misses", "train_problems", "decontamination_report"],
    code="training/preference.py",
    description="DPO on `preference_pairs` and `near_misses`; an optional start for GSPO, not used by default.",
    steps=PRESET.preference_steps,
)
def preference_checkpoint(context: dg.AssetExecutionContext, work: Path) -> None:
    """Train on pairs from the SFT model."""
    store = context.resources.storage.store
    problems = kept_problems(store.scan("train_problems"), store.scan("decontamination_report"))
    data = scratch_file()
    training_pairs(store.scan("preference_pairs"), store.scan("near_misses"), problems).sink_parquet(data)
    _train(
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
def gspo_checkpoint(context: dg.AssetExecutionContext, work: Path) -> None:
    """Train on rewards from the sandbox."""
    _train(
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
    deps=["combined_cmake", "tokenizer"],
    code="training/cmake.py",
    description="CMake specialist from scratch, on dump rows that configured and on generated projects.",
    steps=PRESET.cmake_steps,
)
def cmake_checkpoint(context: dg.AssetExecutionContext, work: Path) -> None:
    """Train the CMake specialist."""
    _train(
        context,
        work,
        "cmake",
        data=_table(context, "combined_cmake"),
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
def router_checkpoint(context: dg.AssetExecutionContext, work: Path) -> None:
    """Train the router."""
    _train(
        context,
        work,
        "router",
        data=_table(context, "router_sft"),
        preset=PRESET.name,
        steps=PRESET.router_steps,
    )

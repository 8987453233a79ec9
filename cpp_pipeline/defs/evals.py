"""Evaluations: each checkpoint on held-out data, with intervals, and one report over all."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from cpp_pipeline.defs.code import CHECKPOINTS, VERDICTS
from cpp_pipeline.defs.resources import PRESET, SETTINGS
from cpp_pipeline.evaluation import model_page, reports
from cpp_pipeline.rollouts.parts import join_parts
from cpp_pipeline.storage.folder_assets import folder_asset, write_result
from cpp_pipeline.storage.previews import report_facts

_SETUP = {"samples": PRESET.eval_samples, "seed": SETTINGS.seed, "preset": PRESET.name}
_NEEDS = frozenset({"launcher", "sandbox"})
_CODE = ["evaluation", "rollouts", "models", *VERDICTS, "corpus/formats.py"]
CODE_EVALS = {
    "base_eval": ("base_checkpoint", "fim", ()),
    "sft_eval": ("sft_checkpoint", "chat", ("base_eval",)),
    "gspo_eval": ("gspo_checkpoint", "chat", ("sft_eval", "base_eval")),
    "sft_control_eval": ("sft_control_checkpoint", "chat", ("sft_eval", "gspo_eval")),
}
"""Evaluation -> checkpoint, prompt format, evaluations it is compared with on the same problems."""


def _finish(work: Path, name: str, metrics: Mapping[str, Mapping[str, Any]]) -> None:
    """Commit a report."""
    write_result(work, name, {k: v["value"] for k, v in metrics.items()})


def _code_eval(name: str) -> dg.AssetsDefinition:
    checkpoint, form, previous = CODE_EVALS[name]

    @folder_asset(
        name,
        kind="reports",
        shown=report_facts,
        group="evals",
        kinds={"pytorch", "cpp"},
        deps=[checkpoint, "eval_problems", "sandbox_canaries", *previous],
        code=_CODE,
        config=_SETUP,
        resources=_NEEDS,
        description=f"pass@k of `{checkpoint}` on the held-out problems, with intervals and samples.",
    )
    def evaluate(context: dg.AssetExecutionContext, work: Path) -> None:
        store = context.resources.storage.store
        launcher = context.resources.launcher
        samples = work / "samples"
        launcher.run(
            context,
            "cpp_pipeline.rollouts.sample",
            {
                "problems": launcher.table(store, "eval_problems"),
                "checkpoint_path": launcher.folder(store, "checkpoints", checkpoint),
                "format": form,
                "k": PRESET.eval_samples,
                "max_new_tokens": PRESET.max_new_tokens,
                "seed": SETTINGS.seed,
                "greedy": True,
                "sandbox-url": context.resources.sandbox.address(),
            },
            samples,
            join_parts,
        )
        earlier = [(p, store.local_folder("reports", p) / "samples" / "solutions.parquet") for p in previous]
        metrics = reports.code_report(
            name,
            samples / "solutions.parquet",
            samples / "greedy.parquet",
            store.local_table("eval_problems"),
            work,
            earlier,
        )
        _finish(work, name, metrics)

    return evaluate


base_eval, sft_eval, gspo_eval, sft_control_eval = (_code_eval(name) for name in CODE_EVALS)


@folder_asset(
    "cmake_eval",
    kind="reports",
    shown=report_facts,
    group="evals",
    kinds={"pytorch", "cmake"},
    deps=["cmake_checkpoint", "cmake_problems", "sandbox_canaries"],
    code=_CODE,
    config=_SETUP,
    resources=_NEEDS,
    description="CMake specialist on held-out generated projects: configures, targets right.",
)
def cmake_eval(context: dg.AssetExecutionContext, work: Path) -> None:
    """Sample and judge the CMake specialist."""
    store, launcher = context.resources.storage.store, context.resources.launcher
    launcher.run(
        context,
        "cpp_pipeline.evaluation.cmake_eval",
        {
            "problems": launcher.table(store, "cmake_problems"),
            "checkpoint_path": launcher.folder(store, "checkpoints", "cmake_checkpoint"),
            "seed": SETTINGS.seed,
            "sandbox-url": context.resources.sandbox.address(),
        },
        work / "samples",
    )
    metrics = reports.cmake_report("cmake_eval", work / "samples", work)
    _finish(work, "cmake_eval", metrics)


@folder_asset(
    "router_eval",
    kind="reports",
    shown=report_facts,
    group="evals",
    kinds={"pytorch"},
    deps=["router_checkpoint", "router_sft"],
    code=["agent", "evaluation", "models"],
    config=_SETUP,
    resources=frozenset({"launcher"}),
    description="Router on phrasings that it never saw: right tool, arguments, well-formed calls.",
)
def router_eval(context: dg.AssetExecutionContext, work: Path) -> None:
    """Route the held-out phrasings."""
    store, launcher = context.resources.storage.store, context.resources.launcher
    launcher.run(
        context,
        "cpp_pipeline.agent.router_eval",
        {
            "data": launcher.table(store, "router_sft"),
            "checkpoint_path": launcher.folder(store, "checkpoints", "router_checkpoint"),
        },
        work / "samples",
    )
    metrics = reports.router_report("router_eval", work / "samples", work)
    _finish(work, "router_eval", metrics)


@folder_asset(
    "agent_eval",
    kind="reports",
    shown=report_facts,
    group="evals",
    kinds={"pytorch", "cpp"},
    deps=["agent_problems", "router_checkpoint", "gspo_checkpoint", "cmake_checkpoint", "sandbox_canaries"],
    code=["agent", "evaluation", "models", *VERDICTS],
    config=_SETUP,
    resources=_NEEDS,
    description="The whole agent on end-to-end tasks: route, act, verify, refine.",
)
def agent_eval(context: dg.AssetExecutionContext, work: Path) -> None:
    """Run the agent on its tasks."""
    store, launcher = context.resources.storage.store, context.resources.launcher
    launcher.run(
        context,
        "cpp_pipeline.agent.evaluate",
        {
            "problems": launcher.table(store, "agent_problems"),
            "router": launcher.folder(store, "checkpoints", "router_checkpoint"),
            "code": launcher.folder(store, "checkpoints", "gspo_checkpoint"),
            "cmake": launcher.folder(store, "checkpoints", "cmake_checkpoint"),
            "seed": SETTINGS.seed,
            "sandbox-url": context.resources.sandbox.address(),
        },
        work / "samples",
    )
    metrics = reports.agent_report("agent_eval", work / "samples", work)
    _finish(work, "agent_eval", metrics)


_REPORTED = (*CODE_EVALS, "cmake_eval", "router_eval", "agent_eval")


@folder_asset(
    "model_report",
    kind="reports",
    shown=report_facts,
    group="evals",
    kinds={"html"},
    deps=[*_REPORTED, *CHECKPOINTS],
    code=["evaluation"],
    config={"preset": PRESET.name},
    description="One page over all stages: figures, intervals, targets, control, model card.",
)
def model_report(context: dg.AssetExecutionContext, work: Path) -> None:
    """Join all evaluations and stages into one page."""
    store = context.resources.storage.store
    evaluations = {n: store.local_folder("reports", n) for n in _REPORTED}
    stages = {n: store.result("checkpoints", n) or {} for n in CHECKPOINTS}
    metrics = model_page.model_report(PRESET.name, evaluations, stages, work)
    _finish(work, "model_report", metrics)

"""Checks of folders: tokenizer, token shards, checkpoints and the report.

Blocking checks stop what comes after them. Targets of the method warn and are never hidden.
Does not belong here: tables (`checks`, `checks_leaks`), reading shards back (`corpus/inspection`).
"""

import json
import math

import dagster as dg

from cpp_pipeline.corpus.inspection import inspect, lossy_texts
from cpp_pipeline.corpus.sft import excluded
from cpp_pipeline.curate.representatives import without_duplicates
from cpp_pipeline.defs.code import CHECKPOINTS
from cpp_pipeline.defs.resources import PRESET
from cpp_pipeline.storage.checks import asset_check
from cpp_pipeline.storage.store import Store

MIX = {"raw": 0.40, "random_fim": 0.40, "structured_fim": 0.20}


@asset_check(
    asset="tokenizer",
    blocking=True,
    required_resource_keys={"storage"},
    description="Every special token has its number, and a sample of files comes back byte for byte from its tokens.",
)
def text_comes_back(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    """Encode and decode."""
    store: Store = context.resources.storage.store
    wrong = lossy_texts(store.local_folder("checkpoints", "tokenizer"), store.scan("clean_files"))
    return dg.AssetCheckResult(passed=not wrong, metadata={"wrong": dg.MetadataValue.json(wrong)})


@asset_check(
    asset="pretraining_corpus",
    blocking=True,
    required_resource_keys={"storage"},
    description="Raw, random FIM and structured FIM are within 1 % of 40/40/20 of the tokens.",
)
def mix_is_40_40_20(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    """Read the shares from the shards' manifest."""
    manifest = context.resources.storage.store.result("shards", "pretraining_corpus")
    tokens = manifest["metrics"]["tokens_by_mode"]
    total = sum(tokens.values())
    shares = {mode: tokens.get(mode, 0) / total for mode in MIX}
    passed = all(abs(shares[mode] - wanted) <= 0.01 for mode, wanted in MIX.items())
    return dg.AssetCheckResult(passed=passed, metadata={"shares": dg.MetadataValue.json(shares)})


@asset_check(
    asset="pretraining_corpus",
    blocking=True,
    required_resource_keys={"storage"},
    description="In a sample of rows every document, prefix, middle and suffix put together again, is byte for byte "
    "a piece of a file, function or problem that may be trained on: not held out, not near it, no duplicate.",
)
def fim_comes_back_as_source(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    """Look for the documents in the tables that the corpus is made from."""
    store: Store = context.resources.storage.store
    found = inspect(
        store.local_folder("shards", "pretraining_corpus"),
        store.local_folder("checkpoints", "tokenizer"),
        store.scan("clean_files"),
        without_duplicates(store.scan("docstring_pairs"), store.scan("duplicate_pairs")),
        store.scan("train_problems"),
        excluded(store.scan("decontamination_report")),
    )
    return dg.AssetCheckResult(
        passed=found.passed,
        metadata={
            "rows": found.rows,
            "documents": dg.MetadataValue.json(found.documents),
            "damaged": dg.MetadataValue.json(found.damaged),
            "of_no_source": dg.MetadataValue.json(found.of_no_source),
        },
    )


def _trained(name: str) -> dg.AssetChecksDefinition:
    @asset_check(
        asset=name,
        name="training_is_sound",
        blocking=True,
        required_resource_keys={"storage"},
        description="Every logged number is finite and the stage ran to its last step.",
    )
    def training_is_sound(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        store = context.resources.storage.store
        folder = store.local_folder("checkpoints", name)
        wanted = store.result("checkpoints", name)["steps"]
        steps = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        bad = [s for s in steps if any(isinstance(v, float) and not math.isfinite(v) for v in s.values())]
        return dg.AssetCheckResult(
            passed=0 < len(steps) == wanted and not bad,
            metadata={"steps_logged": len(steps), "steps": wanted, "not_finite": len(bad)},
        )

    return training_is_sound


training_checks = [_trained(name) for name in CHECKPOINTS]


@asset_check(
    asset="model_report",
    required_resource_keys={"storage"},
    description="The preset's targets; below target is a warning.",
)
def targets(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    """Read the targets that the report was held to."""
    folder = context.resources.storage.store.local_folder("reports", "model_report")
    rows = json.loads((folder / "targets.json").read_text())
    missed = [r["target"] for r in rows if not r["met"]]
    return dg.AssetCheckResult(
        passed=not missed,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"preset": PRESET.name, "targets": dg.MetadataValue.json(rows)},
    )

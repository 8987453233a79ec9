"""Checks: every table against its declaration, and what a table has to mean before it is used.

Blocking checks stop what comes after them. Targets of the method warn and are never hidden.
"""

import json
import math
from collections.abc import Callable

import dagster as dg
import polars as pl

from cpp_pipeline.defs.resources import PRESET
from cpp_pipeline.schemas import TABLES, Table
from cpp_pipeline.storage.assets import repo_dumps
from cpp_pipeline.storage.checks import asset_check

WARN, ERROR = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR
MIX = {"raw": 0.40, "random_fim": 0.40, "structured_fim": 0.20}
CHECKPOINTS = (
    "base_checkpoint",
    "sft_checkpoint",
    "sft_control_checkpoint",
    "preference_checkpoint",
    "gspo_checkpoint",
    "cmake_checkpoint",
    "router_checkpoint",
)


def _fits_schema(table: Table) -> dg.AssetChecksDefinition:
    @asset_check(
        asset=table.name,
        name="fits_schema",
        blocking=True,
        partitions_def=repo_dumps if table.partitioned else None,
        description="Columns, types, nulls, ranges, closed sets and keys are as declared.",
    )
    def fits_schema(asset: pl.LazyFrame) -> dg.AssetCheckResult:
        broken = table.violations(table.conform(asset))
        return dg.AssetCheckResult(passed=not broken, metadata={"broken": dg.MetadataValue.json(broken)})

    return fits_schema


def _rows(
    table: str, name: str, description: str, offenders: Callable[[pl.LazyFrame], pl.LazyFrame]
) -> dg.AssetChecksDefinition:
    """A blocking check that no row offends; shows the first offenders' keys."""

    @asset_check(
        asset=table,
        name=name,
        blocking=True,
        description=description,
        partitions_def=repo_dumps if TABLES[table].partitioned else None,
    )
    def check(asset: pl.LazyFrame) -> dg.AssetCheckResult:
        found = offenders(asset).select(TABLES[table].key).collect()
        return dg.AssetCheckResult(
            passed=found.is_empty(),
            metadata={
                "offending_rows": found.height,
                "first": dg.MetadataValue.json(found.head(5).to_dicts()),
            },
        )

    return check


schema_checks = [_fits_schema(table) for table in TABLES.values()]

row_checks = [
    _rows(
        "sandbox_canaries",
        "sandbox_is_right",
        "Every program of known verdict got it and no attack gained a test; else no verdict is believed.",
        lambda f: f.filter(~pl.col("ok")),
    ),
    _rows(
        "preference_pairs",
        "chosen_beats_rejected",
        "Chosen passes more tests than rejected, and the two are similar but not equal.",
        lambda f: f.filter(
            (pl.col("chosen_passed") <= pl.col("rejected_passed"))
            | (pl.col("similarity") <= 0.7)
            | (pl.col("chosen") == pl.col("rejected"))
        ),
    ),
    _rows(
        "pass_k_sft",
        "all_solutions_pass",
        "Every solution that is learned from passed all its tests.",
        lambda f: f.filter(
            pl.col("solutions").list.eval(pl.element().struct.field("score").ne_missing(1.0)).list.any()
        ),
    ),
    _rows(
        "docstring_pairs",
        "function_contains_its_body",
        "The body is a part of the code, and the code is one line or more of its file.",
        lambda f: f.filter(
            ~pl.col("code").str.contains(pl.col("body"), literal=True) | (pl.col("end_line") < pl.col("line"))
        ),
    ),
    _rows(
        "diff_sft",
        "repair_changes_something",
        "Before and after differ.",
        lambda f: f.filter(pl.col("before") == pl.col("after")),
    ),
    _rows(
        "duplicate_pairs",
        "what_is_kept_stays",
        "No row is left out for one that is left out itself.",
        lambda f: f.join(f.select("pair_id"), left_on="kept_pair_id", right_on="pair_id", how="semi"),
    ),
]


def _held_out(table: str, key: str) -> dg.AssetChecksDefinition:
    @asset_check(
        asset=table,
        name="no_held_out_problem",
        blocking=True,
        description="No row comes from a held-out problem, or shares its ingredients (`split_key`).",
        additional_ins={"eval_problems": dg.AssetIn("eval_problems")},
    )
    def no_held_out_problem(asset: pl.LazyFrame, eval_problems: pl.LazyFrame) -> dg.AssetCheckResult:
        keys = eval_problems.select(pl.col(key).alias("held_out")).unique()
        found = asset.select(key).join(keys, left_on=key, right_on="held_out", how="semi").collect()
        return dg.AssetCheckResult(passed=found.is_empty(), metadata={"leaked_rows": found.height})

    return no_held_out_problem


held_out_checks = [
    _held_out("train_problems", "split_key"),
    _held_out("gspo_prompts", "problem_id"),
    _held_out("pass_k_sft", "problem_id"),
]


@asset_check(
    asset="decontamination_report",
    blocking=True,
    description="At most 2 % of the training rows are too close to a held-out problem; "
    "more means that a benchmark is inside a dump. The rows named here are not trained on.",
    additional_ins={n: dg.AssetIn(n) for n in ("clean_files", "docstring_pairs", "diff_sft", "train_problems")},
)
def few_rows_near_held_out(
    asset: pl.LazyFrame,
    clean_files: pl.LazyFrame,
    docstring_pairs: pl.LazyFrame,
    diff_sft: pl.LazyFrame,
    train_problems: pl.LazyFrame,
) -> dg.AssetCheckResult:
    """Count the rows named by the report against all that was compared."""
    hits = asset.select("table", "row_id").unique().select(pl.len()).collect().item()
    compared = (clean_files, docstring_pairs, diff_sft, train_problems)
    rows = sum(f.select(pl.len()).collect().item() for f in compared)
    return dg.AssetCheckResult(passed=hits <= 0.02 * rows + 5, metadata={"hits": hits, "rows": rows})


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
        severity=WARN,
        metadata={"preset": PRESET.name, "targets": dg.MetadataValue.json(rows)},
    )

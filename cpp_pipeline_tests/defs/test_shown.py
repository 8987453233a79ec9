"""What the UI shows of every asset: words, owners, columns, rows, a preview and a plot."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from cpp_pipeline.defs import corpus
from cpp_pipeline.schemas import TABLES
from cpp_pipeline.storage.assets import SKIP_TAG
from cpp_pipeline.storage.metadata import column_plot, metrics_plot, table_facts
from cpp_pipeline.storage.previews import checkpoint_facts, report_facts
from cpp_pipeline.storage.store import Store
from cpp_pipeline_tests.defs.support import Bench, frame, row
from cpp_pipeline_tests.defs.test_corpus import NO_HIT, problem, sft_inputs
from cpp_pipeline_tests.defs.test_definitions import definitions, specs

PICTURE = "![plot](data:image/png;base64,"


def drawn() -> Iterator[tuple[str, str]]:
    """Every table with the column that its asset draws, as the asset itself was told."""
    for asset in definitions().assets or ():
        if isinstance(asset, dg.AssetsDefinition):
            for name, spec in ((s.key.path[-1], s) for s in asset.specs if s.key.path[-1] in TABLES):
                yield name, str(spec.metadata["cpp_pipeline/plot"])


def test_every_asset_tells_who_what_and_by_which_code() -> None:
    for name, spec in specs().items():
        assert len(spec.description or "") > 20, name
        assert spec.group_name, name
        assert spec.kinds, name
        assert [owner.startswith("team:") for owner in spec.owners] == [True], name
        assert re.fullmatch("[0-9a-f]{16}", spec.code_version or ""), name


def test_every_table_has_a_column_to_draw_that_is_one_of_its_own() -> None:
    found = dict(drawn())
    assert found.keys() == TABLES.keys()
    for name, column in found.items():
        assert column in TABLES[name].schema, name
        assert TABLES[name].key != (column,), f"{name}: every bar would be 1"


@pytest.mark.parametrize(("name", "column"), sorted(drawn()))
def test_a_table_is_shown_with_rows_columns_lineage_preview_and_plot(name: str, column: str) -> None:
    rows = frame(name, row(name, 0), row(name, 1)).lazy()
    partition = "one" if TABLES[name].partitioned else None
    facts = table_facts(TABLES[name], rows, 2, partition, column)
    assert facts["dagster/partition_row_count" if partition else "dagster/row_count"] == 2
    assert facts["dagster/column_lineage"].deps_by_column.keys() == set(TABLES[name].schema)
    assert facts["preview"].value.startswith(f"| {TABLES[name].columns[0].name} |")
    assert facts["plot"].value.startswith(PICTURE)


def test_a_materialized_table_holds_all_of_it_and_a_kept_one_too(bench: Bench) -> None:
    solution = row("pass_k_solutions", problem_id="problem_id 1", verdict="AC", score=1.0)
    bench.write("pass_k_solutions", frame("pass_k_solutions", solution))
    bench.write("train_problems", frame("train_problems", problem(1)))
    made, kept = (shown(bench, corpus.pass_k_sft, {SKIP_TAG: "1"}) for _ in range(2))
    wanted = {"dagster/row_count", "dagster/column_lineage", "preview", "plot", "path", "size_bytes"}
    assert wanted <= made.keys()
    assert wanted | {"cpp_pipeline/kept"} <= kept.keys()
    assert made["plot"] == kept["plot"]
    schema = specs()["pass_k_sft"].metadata["dagster/column_schema"]
    assert [c.name for c in getattr(schema, "value", schema).columns] == list(TABLES["pass_k_sft"].schema)


def test_folders_are_shown_when_they_are_made_and_when_they_are_kept(
    bench: Bench, bundled: Mapping[str, pl.DataFrame]
) -> None:
    for name in ("clean_files", "docstring_pairs"):
        bench.write(name, bundled[name], "bundled")
    bench.write("train_problems", frame("train_problems", *(problem(n, source="family") for n in range(40))))
    bench.write("decontamination_report", NO_HIT)
    bench.write("duplicate_pairs", frame("duplicate_pairs"))
    made = [shown(bench, asset) for asset in (corpus.tokenizer, corpus.pretraining_corpus)]
    kept = [shown(bench, asset, {SKIP_TAG: "1"}) for asset in (corpus.tokenizer, corpus.pretraining_corpus)]
    assert kept == [{**facts, "cpp_pipeline/kept": True} for facts in made]
    tokenizer, shards = made
    for facts in made:
        assert {"path", "preview", "plot"} <= facts.keys()
        assert facts["plot"].startswith(PICTURE)
    assert tokenizer["preview"].startswith("| token | id | characters |")
    assert "<EOT>" in shards["preview"]
    stored = bench.store.result("shards", "pretraining_corpus")
    assert stored is not None
    assert shards["dagster/row_count"] == stored["metrics"]["rows"]


def test_a_report_shows_its_metrics_and_draws_the_shares(tmp_path: Path) -> None:
    metrics = {
        "pass@1": {"value": 0.5, "low": 0.4, "high": 0.6, "n": 128},
        "greedy": {"value": 0.25, "low": None, "high": None, "n": 128},
        "tokens": {"value": 40.0, "low": None, "high": None, "n": 128},
    }
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    facts = report_facts("base_eval", tmp_path, Store(str(tmp_path)))
    assert "| pass@1 | 0.500 | 0.400 to 0.600 | 128 |" in facts["metrics"].value
    assert facts["plot"].value.startswith(PICTURE)
    one = {"tokens": metrics["tokens"]}
    assert metrics_plot(one, "no share").startswith(PICTURE)


def test_a_checkpoint_shows_its_curve_what_it_was_told_and_its_last_steps(tmp_path: Path) -> None:
    steps = ({"step": n, "loss": 3.0 - n / 10, "tokens": 64} for n in range(9))
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(step) + "\n" for step in steps))
    (tmp_path / "result.json").write_text(json.dumps({"config": {"lr": 0.001, "preset": "smoke"}}))
    facts = checkpoint_facts("sft_checkpoint", tmp_path, Store(str(tmp_path)))
    assert facts["curve"].value.startswith("![curve](data:image/png;base64,")
    lines = facts["preview"].value.splitlines()
    assert lines[0] == "| step | loss | tokens |"
    assert [line.split(" | ")[0] for line in lines[2:7]] == [f"| {n}" for n in range(4, 9)]
    assert {"| lr | 0.001 |", "| preset | smoke |"} <= set(lines)


def test_a_table_shows_what_was_kept_out_of_it_by_reason(bench: Bench) -> None:
    rows = (row("docstring_sft", n, source="docstring", response="x" * 10**5 * (n % 2)) for n in range(5))
    inputs = {**sft_inputs(), "docstring_sft": frame("docstring_sft", *rows), "diff_sft": frame("diff_sft")}
    for name, rows_of_it in inputs.items():
        bench.write(name, rows_of_it, "one" if TABLES[name].partitioned else None)
    for tags in ({}, {SKIP_TAG: "1"}):
        result = bench.run(
            [*(dg.AssetSpec(k) for k in corpus.combined_sft.dependency_keys), corpus.combined_sft], tags=tags
        )
        told = {e.asset_key.path[-1]: e.materialization.metadata for e in result.get_asset_materialization_events()}
        assert told["combined_sft"]["quarantined"].value == {"too long": 2}
        assert "quarantined" not in told["combined_sft_quarantine"]
        assert ("cpp_pipeline/kept" in told["combined_sft"]) is bool(tags)


@pytest.mark.parametrize(
    "values", [[None, None], [0, 0], [1, 2, 10**9], [-5, 10**6], [True, False], ["a|b", None], [0.1, 0.9]], ids=str
)
def test_any_column_can_be_drawn(values: list[Any]) -> None:
    rows = pl.LazyFrame({"x": pl.Series(values, dtype=None if any(v is not None for v in values) else pl.Float64)})
    assert column_plot(rows, "x", "title").startswith(PICTURE)


def shown(bench: Bench, asset: dg.AssetsDefinition, tags: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The metadata of a materialization on disk."""
    result = bench.run([*(dg.AssetSpec(key) for key in asset.dependency_keys), asset], tags=tags)
    (event,) = result.get_asset_materialization_events()
    return {k: v.value for k, v in event.step_materialization_data.materialization.metadata.items()}

"""Checks of declarations, of the decontamination report and of folders: what they stop, and what they let pass.

Does not belong here: single bad rows (`test_bad_data`), the corpus read back (`corpus/test_inspection`).
"""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from dagster._core.definitions.decorators.op_decorator import DecoratedOpFunction

from cpp_pipeline.corpus.fim import FimSplit, fim_parts, raw_parts
from cpp_pipeline.corpus.formats import Parts
from cpp_pipeline.corpus.packing import Packable, pack
from cpp_pipeline.corpus.shards import write_shards
from cpp_pipeline.corpus.tokenizer import encode_parts, load_tokenizer, train_tokenizer
from cpp_pipeline.defs.checks_folders import CHECKPOINTS
from cpp_pipeline.schemas import TABLES
from cpp_pipeline.storage.assets import repo_dumps
from cpp_pipeline_tests.defs.support import Bench, Frames, frame, row
from cpp_pipeline_tests.defs.test_definitions import check_of, checks

Row = dict[str, Any]
MIX = {"raw": 400, "random_fim": 400, "structured_fim": 200}


@dataclass
class Outcome:
    """What a run of an asset, its check and one asset after it did."""

    passed: bool
    metadata: dict[str, Any]
    went_on: bool = False


@dataclass
class Scene:
    """Runs a real check between a planted asset and one that depends on it."""

    bench: Bench
    made: list[str] = field(default_factory=list)

    def check(self, asset: str, name: str, frames: Frames | None = None) -> Outcome:
        """Run the check of `asset`; `frames` are the rows of the tables that it reads."""
        frames = frames or {}
        definition = check_of(asset, name)
        partitioned = asset in TABLES and TABLES[asset].partitioned
        partitions = repo_dumps if partitioned else None

        def planted(key: str) -> dg.AssetsDefinition:
            @dg.asset(name=key, partitions_def=partitions if key == asset else None, dagster_type=dg.Any)
            def upstream() -> pl.LazyFrame | None:
                return frames[key].lazy() if key in frames else None

            return upstream

        @dg.asset(deps=[asset], partitions_def=partitions)
        def what_comes_after() -> None:
            self.made.append(asset)

        result = dg.materialize_to_memory(
            [*(planted(key) for key in {asset, *frames}), what_comes_after, definition],
            instance=self.bench.instance,
            resources={"storage": self.bench.resources["storage"]},
            partition_key="one" if partitioned else None,
            raise_on_error=False,
        )
        evaluations = result.get_asset_check_evaluations()
        assert [e.check_name for e in evaluations] == [name]
        metadata = {key: value.value for key, value in evaluations[0].metadata.items()}
        return Outcome(evaluations[0].passed, metadata, went_on=bool(self.made))


@pytest.fixture
def scene(bench: Bench) -> Scene:
    return Scene(bench)


# -- the declaration of a table ---------------------------------------------------------------


def evaluate(table: str, rows: pl.DataFrame) -> dg.AssetCheckResult:
    """Call the schema check's own function: calling the check makes an instance with all its tables each time."""
    compute = check_of(table, "fits_schema").op.compute_fn
    assert isinstance(compute, DecoratedOpFunction)
    found = compute.decorated_fn(rows.lazy())
    assert isinstance(found, dg.AssetCheckResult)
    return found


@pytest.mark.parametrize("name", sorted(TABLES))
def test_every_table_is_held_to_its_declaration(name: str) -> None:
    table = TABLES[name]
    good = frame(name, row(name, 0), row(name, 1))
    assert evaluate(name, good).passed
    column = next(c.name for c in table.columns if not c.nullable)
    assert not evaluate(name, frame(name, row(name, 0, **{column: None}))).passed
    if table.key:
        repeated = evaluate(name, frame(name, row(name, 0), row(name, 0)))
        assert repeated.metadata["broken"].value == {f"repeated key ({', '.join(table.key)})": 1}
    with pytest.raises(ValueError, match=f"{name}.*{column}: missing"):
        evaluate(name, good.drop(column))
    with pytest.raises(ValueError, match=f"{column}.* is not"):
        evaluate(name, good.with_columns(pl.lit(None, pl.Date).alias(column)))


@pytest.mark.parametrize(
    ("table", "values", "broken"),
    [
        ("preference_pairs", {"similarity": 1.5}, "similarity > 1"),
        ("docstring_pairs", {"line": 0}, "line < 1"),
        ("pass_k_solutions", {"verdict": "OK"}, "verdict not in AC|PA|WA|RE|TLE|MLE|OLE|CE|CLE"),
        ("combined_sft", {"instruction": None}, "instruction is null"),
        ("decontamination_report", {"rule": "smell"}, "rule not in verbatim|tokens|doc|split_key"),
        (
            "decontamination_report",
            {"table": "eval_problems"},
            "table not in clean_files|docstring_pairs|diff_sft|train_problems",
        ),
    ],
)
def test_a_row_outside_the_declaration_stops_the_run(scene: Scene, table: str, values: Row, broken: str) -> None:
    outcome = scene.check(table, "fits_schema", {table: frame(table, row(table), row(table, 1, **values))})
    assert not outcome.passed
    assert outcome.metadata["broken"] == {broken: 1}
    assert not outcome.went_on


def test_a_fitting_table_lets_the_run_go_on(scene: Scene) -> None:
    for table in ("preference_pairs", "docstring_pairs"):
        outcome = scene.check(table, "fits_schema", {table: frame(table, row(table))})
        assert outcome.passed
        assert outcome.went_on


# -- what the report says of all rows --------------------------------------------------------------


@pytest.mark.parametrize(("hits", "passed"), [(7, True), (8, False)])
def test_many_rows_near_held_out_problems_stop_the_run(scene: Scene, hits: int, passed: bool) -> None:
    """100 training rows may have 2 % and 5 hits; two rules that name one row are one hit."""
    rows = [
        row("decontamination_report", row_id=f"row {n}", rule=rule) for n in range(hits) for rule in ("doc", "tokens")
    ]
    frames = {
        "decontamination_report": frame("decontamination_report", *rows),
        "clean_files": frame("clean_files", *(row("clean_files", n) for n in range(30))),
        "docstring_pairs": frame("docstring_pairs", *(row("docstring_pairs", n) for n in range(20))),
        "diff_sft": frame("diff_sft", *(row("diff_sft", n) for n in range(10))),
        "train_problems": frame("train_problems", *(row("train_problems", n) for n in range(40))),
    }
    outcome = scene.check("decontamination_report", "few_rows_near_held_out", frames)
    assert (outcome.passed, outcome.went_on) == (passed, passed)
    assert (outcome.metadata["hits"], outcome.metadata["rows"]) == (hits, 100)


# -- folders ----------------------------------------------------------------------------------


def publish(scene: Scene, kind: str, asset: str, result: Row, files: dict[str, str] | None = None) -> None:
    """Put a finished folder in place."""
    folder = scene.bench.store.folder(kind, asset)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (files or {}).items():
        (folder / name).write_text(text)
    (folder / "result.json").write_text(json.dumps(result))


def metrics(*losses: float) -> dict[str, str]:
    """The metrics file of a stage, one line a step."""
    lines = (json.dumps({"step": n, "loss": loss}) for n, loss in enumerate(losses))
    return {"metrics.jsonl": "".join(line + "\n" for line in lines)}


@pytest.mark.parametrize(
    ("tokens", "passed"),
    [
        (MIX, True),
        ({"raw": 408, "random_fim": 394, "structured_fim": 198}, True),
        ({"raw": 420, "random_fim": 385, "structured_fim": 195}, False),
        ({"raw": 500, "random_fim": 500}, False),
    ],
)
def test_another_mix_stops_the_run(scene: Scene, tokens: dict[str, int], passed: bool) -> None:
    publish(scene, "shards", "pretraining_corpus", {"metrics": {"tokens_by_mode": tokens}})
    outcome = scene.check("pretraining_corpus", "mix_is_40_40_20")
    assert (outcome.passed, outcome.went_on) == (passed, passed)


SOURCE = "int twice(int value) {\n    int doubled = value * 2;\n    return doubled;\n}\n"
SPLIT = FimSplit(SOURCE[:20], SOURCE[20:50], SOURCE[50:], spm=False)


def plant_corpus(scene: Scene, *documents: Parts) -> None:
    """A tokenizer, a corpus of these documents, and the one file that it may be made from."""
    store, write = scene.bench.store, scene.bench.write
    tokenizer, shards = (
        store.folder("checkpoints", "tokenizer"),
        Path(str(store.folder("shards", "pretraining_corpus"))),
    )
    train_tokenizer(iter([SOURCE] * 9), 300, Path(str(tokenizer)))
    publish(scene, "checkpoints", "tokenizer", {})
    tok = load_tokenizer(Path(str(tokenizer)))
    rows = pack([Packable(encode_parts(tok, d)) for d in documents], 257, 0)
    write_shards(rows, shards, seq_tokens=256, vocab=tok.get_vocab_size(), pad_id=0, tokenizer_sha256="")
    publish(scene, "shards", "pretraining_corpus", {})
    write(
        "clean_files",
        frame("clean_files", row("clean_files", language="cpp", content=f"#pragma once\n{SOURCE}")),
        "one",
    )
    write("docstring_pairs", frame("docstring_pairs"), "one")
    for name in ("duplicate_pairs", "train_problems", "decontamination_report"):
        write(name, frame(name))


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        (fim_parts(SPLIT), None),
        (fim_parts(replace(SPLIT, prefix=SPLIT.suffix, suffix=SPLIT.prefix)), "of_no_source"),
        (fim_parts(SPLIT)[:2] + fim_parts(SPLIT)[4:], "damaged"),
        (raw_parts(SOURCE.replace("twice", "held_out")), "of_no_source"),
    ],
    ids=["sound", "parts changed places", "a mark is missing", "held out"],
)
def test_a_corpus_that_does_not_give_its_sources_back_stops_the_run(
    scene: Scene, document: Parts, fault: str | None
) -> None:
    plant_corpus(scene, raw_parts(SOURCE), document)
    outcome = scene.check("pretraining_corpus", "fim_comes_back_as_source")
    assert (outcome.passed, outcome.went_on) == (fault is None, fault is None)
    faults = {name: len(outcome.metadata[name]) for name in ("damaged", "of_no_source")}
    assert faults == {"damaged": 0, "of_no_source": 0, **({fault: 1} if fault else {})}


@pytest.mark.parametrize("lost", [None, "<FIM_MIDDLE>"])
def test_a_tokenizer_without_a_special_token_stops_the_run(scene: Scene, lost: str | None) -> None:
    plant_corpus(scene, raw_parts(SOURCE))
    path = Path(str(scene.bench.store.folder("checkpoints", "tokenizer"))) / "tokenizer.json"
    path.write_text(path.read_text().replace(lost or "-", "<ANOTHER>" if lost else "-"))
    outcome = scene.check("tokenizer", "text_comes_back")
    assert (outcome.passed, outcome.went_on) == (lost is None, lost is None)
    assert outcome.metadata["wrong"] == ([lost] if lost else [])


@pytest.mark.parametrize(
    ("files", "passed"),
    [
        (metrics(3.0, 2.0), True),
        (metrics(3.0, float("nan")), False),
        (metrics(float("inf"), 2.0), False),
        (metrics(3.0), False),
        (metrics(), False),
    ],
    ids=["sound", "nan", "infinite", "a step is missing", "no step"],
)
def test_unsound_training_stops_the_run(scene: Scene, files: dict[str, str], passed: bool) -> None:
    publish(scene, "checkpoints", "base_checkpoint", {"steps": 2}, files)
    outcome = scene.check("base_checkpoint", "training_is_sound")
    assert (outcome.passed, outcome.went_on) == (passed, passed)


def test_every_checkpoint_is_checked_for_sound_training() -> None:
    trained = {c.asset_key.to_user_string() for c in checks() if c.name == "training_is_sound"}
    assert trained == set(CHECKPOINTS)


@pytest.mark.parametrize("met", [True, False])
def test_a_missed_target_is_told_and_stops_nothing(scene: Scene, met: bool) -> None:
    rows = [{"target": "pass@1 above 0.5", "met": met}, {"target": "configures", "met": True}]
    publish(scene, "reports", "model_report", {}, {"targets.json": json.dumps(rows)})
    outcome = scene.check("model_report", "targets")
    assert outcome.passed is met
    assert outcome.went_on
    assert outcome.metadata["targets"] == rows


def test_real_tables_pass_their_checks(scene: Scene, bundled: dict[str, pl.DataFrame]) -> None:
    """Of one dump; those of problems are judged where the whole chain runs, which any of their checks would end."""
    for name, found in bundled.items():
        assert evaluate(name, found).passed, name
    for table, name in (
        ("docstring_pairs", "function_contains_its_body"),
        ("diff_sft", "repair_changes_something"),
    ):
        assert scene.check(table, name, {table: bundled[table]}).passed, name

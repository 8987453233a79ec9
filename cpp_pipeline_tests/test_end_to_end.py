"""The whole chain at the smallest preset: run, run again, add a dump."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from cpp_pipeline.main_job import dagster_instance
from cpp_pipeline.schemas import TABLES
from cpp_pipeline.storage.store import Store
from cpp_pipeline_tests.commands import tell

pytestmark = pytest.mark.e2e


def cli(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "CPP_PIPELINE_REAL_CPP": "0", "COLUMNS": "200"}
    env.pop("DAGSTER_HOME", None)
    command = [sys.executable, "-m", "cpp_pipeline", *arguments, "--root", str(root)]
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=900, check=False)


def versions(store: Store) -> Mapping[tuple[str, str | None], tuple[str, float]]:
    """Data version and file time of every table file."""
    found = {}
    for name, table in TABLES.items():
        for key in store.partitions(name) if table.partitioned else [None]:
            path = Path(str(store.table_path(name, key)))
            provenance = store.provenance(name, key)
            assert provenance is not None, name
            found[name, key] = (provenance.data_version, path.stat().st_mtime)
    return found


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root after one run of everything."""
    folder = tmp_path_factory.mktemp("root")
    done = cli(folder, "run", "--preset", "smoke")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
    return folder


def test_every_table_checkpoint_and_report_is_there(root: Path) -> None:
    store = Store(str(root))
    for name, table in TABLES.items():
        assert store.partitions(name) == ["bundled"] if table.partitioned else store.provenance(name), name
    for name in (
        "docstring_pairs",
        "diff_sft",
        "cmake_sft",
        "train_problems",
        "combined_sft",
        "gspo_prompts",
    ):
        assert store.scan(name).collect().height > 0, name
    metrics = json.loads((root / "reports" / "model_report" / "metrics.json").read_text())
    assert metrics
    assert (root / "reports" / "model_report" / "index.html").stat().st_size > 1000


def test_commands_that_load_a_model_did_not_load_it_all_anew(root: Path) -> None:
    with dagster_instance(str(root)) as instance:
        told = [entry.user_message for run in instance.get_runs() for entry in instance.all_logs(run.run_id)]
    assert sum(line.startswith("running ") for line in told) >= 16
    assert [line for line in told if "gets a process of its own" in line] == []


def test_the_ui_shows_every_asset_with_rows_preview_and_plot(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    found: dict[str, Mapping[str, dg.MetadataValue[Any]]] = {}
    with dagster_instance(str(root)) as instance:
        for key in instance.all_asset_keys():
            event = instance.get_latest_materialization_event(key)
            assert event is not None, key
            assert event.asset_materialization is not None, key
            found[key.path[-1]] = event.asset_materialization.metadata
    assert found.keys() > TABLES.keys()
    for name, shown in found.items():
        assert "path" in shown, name
        if name in TABLES:
            count = shown["dagster/partition_row_count" if TABLES[name].partitioned else "dagster/row_count"].value
            assert {"preview", "dagster/column_lineage"} <= shown.keys(), name
            assert ("plot" in shown) is (int(count or 0) > 0), name
        else:
            assert {"plot", "curve"} & shown.keys(), name
            assert {"preview", "metrics"} & shown.keys(), name


@pytest.mark.parametrize(
    "name", ["base_checkpoint", "sft_checkpoint", "gspo_checkpoint", "cmake_checkpoint", "router_checkpoint"]
)
def test_checkpoints_load_with_transformers_and_generate(root: Path, name: str) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = root / "checkpoints" / name
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    inputs = tokenizer("int solve(", return_tensors="pt")
    output = model.generate(inputs["input_ids"], max_new_tokens=4, do_sample=False)
    assert output.shape[1] > inputs["input_ids"].shape[1]


def test_a_second_run_makes_nothing(root: Path) -> None:
    before = versions(Store(str(root)))
    done = cli(root, "run", "--preset", "smoke")
    assert done.returncode == 0, done.stdout[-4000:]
    assert "made" not in {row.split("│")[2].strip() for row in done.stdout.splitlines() if row.count("│") > 4}
    assert versions(Store(str(root))) == before


@pytest.mark.slow  # in the runner, on a bucket too, and from the UI it is among the others
def test_one_more_dump_leaves_the_first_alone_and_joins_both(root: Path, tmp_path: Path) -> None:
    store = Store(str(root))
    before = versions(store)
    more = tmp_path / "more"
    more.mkdir()
    (more / "area.cpp").write_text(
        "// SPDX-License-Identifier: MIT\n\n/// Returns the area of a rectangle: its width times its height.\n"
        "int rectangle_area(int width, int height) {\n    int area = width * height;\n    return area;\n}\n"
    )
    assert tell("dumps", "add", str(more), "--name", "more", "--root", str(root)).returncode == 0
    done = cli(root, "run", "--preset", "smoke", "--select", "+duplicate_pairs")
    assert done.returncode == 0, done.stdout[-4000:]
    after = versions(store)
    assert {k: v for k, v in after.items() if k[1] == "bundled"} == {
        k: v for k, v in before.items() if k[1] == "bundled"
    }
    assert store.partitions("docstring_pairs") == ["bundled", "more"]
    assert store.scan("docstring_pairs", ["more"]).collect()["name"].to_list() == ["rectangle_area"]
    assert sorted(store.scan("compared_dumps").collect()["dump"]) == ["bundled", "more"]
    assert after["compared_dumps", None] != before["compared_dumps", None]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["dumps", "add", "/nowhere/at/all", "--name", "x"], "/nowhere/at/all"),
        (["dumps", "add", ".", "--name", "a/b"], "a/b"),
        (["run", "--preset", "huge"], "choose one of"),
        (["export", "no_such_asset", "--jsonl", "x.jsonl"], "choose one of"),
    ],
)
def test_bad_input_is_told_plainly(root: Path, arguments: list[str], message: str) -> None:
    done = tell(*arguments, "--root", str(root))
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr

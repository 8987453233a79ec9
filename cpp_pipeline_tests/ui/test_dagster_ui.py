"""The Dagster UI in a browser: see the graph, make a table of one dump, look at it, backfill two others, end it all."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import pytest
from playwright.sync_api import expect

from cpp_pipeline.models.presets import preset
from cpp_pipeline.storage.assets import OWNERS
from cpp_pipeline.storage.store import Store
from cpp_pipeline_tests.test_killed import descendants, survivors
from cpp_pipeline_tests.ui.conftest import Pages, Shoot
from cpp_pipeline_tests.ui.served import SEED, Served, stop
from cpp_pipeline_tests.ui.steps import launch, open_graph, see_backfill_succeed, see_run_succeed

if TYPE_CHECKING:
    from playwright.sync_api import Page


class Launched(NamedTuple):
    """Addresses of a run that makes `docstring_pairs` of one dump, and of a backfill of two others."""

    run: str
    backfill: str


@pytest.fixture(scope="module")
def launched(served: Served, pages: Pages) -> Launched:
    """Both at once: the daemon looks for backfills every 30 s only."""
    with pages() as page:
        run = launch(page, served, '+key:"docstring_pairs"', "evals", ["one"], "Launch 1 run")
        backfill = launch(page, served, '+key:"source_files"', "evals", ["two", "three"], "Launch backfill")
        return Launched(run, backfill)


def test_the_graph_shows_all_groups(served: Served, page: Page, shoot: Shoot) -> None:
    drawing = open_graph(page, served)
    shoot("graph-groups")
    for group in OWNERS:
        expect(drawing.get_by_text(group, exact=True)).to_be_visible()
    nodes = served.ask("{ assetNodes { groupName } }")["assetNodes"]
    assert {n["groupName"] for n in nodes} == set(OWNERS)


def test_root_preset_and_seed_of_the_command_hold(served: Served) -> None:
    query = """{ assetNodes(assetKeys: [{path: ["cmake_problems"]}]) {
        metadataEntries { label ... on JsonMetadataEntry { jsonString } } } }"""
    entries = served.ask(query)["assetNodes"][0]["metadataEntries"]
    config = json.loads(next(e["jsonString"] for e in entries if e["label"] == "config"))
    smoke = preset("smoke")
    assert config == {"train": smoke.cmake_train, "eval": smoke.cmake_eval, "seed": SEED}


def test_a_table_of_one_dump_is_made(served: Served, page: Page, launched: Launched, shoot: Shoot) -> None:
    see_run_succeed(page, served, launched.run)
    shoot("run")
    query = "query($id: ID!) { runOrError(runId: $id) { ... on Run { status tags { key value } } } }"
    found = served.ask(query, id=launched.run.rpartition("/")[2])["runOrError"]
    assert found["status"] == "SUCCESS"
    assert {"key": "dagster/partition", "value": "one"} in found["tags"]
    assert Store(str(served.root)).scan("docstring_pairs", ["one"]).collect()["name"].to_list()


def test_its_row_count_preview_and_plot_are_shown(served: Served, page: Page, launched: Launched, shoot: Shoot) -> None:
    see_run_succeed(page, served, launched.run)
    page.goto(f"{served.url}/assets/docstring_pairs?view=overview")
    rows = Store(str(served.root)).scan("docstring_pairs", ["one"]).collect().height
    count = page.get_by_role("row").filter(has_text="dagster/partition_row_count")
    expect(count.get_by_role("cell").last).to_have_text(str(rows))
    shoot("asset")
    for label in ("preview", "plot"):
        row = page.get_by_role("row").filter(has=page.get_by_role("cell", name=label, exact=True))
        row.get_by_text("[Show Markdown]").click()
        dialog = page.get_by_role("dialog")
        shown = dialog.get_by_role("table") if label == "preview" else dialog.get_by_role("img", name="plot")
        expect(shown).to_be_visible()
        if label == "plot":
            assert shown.evaluate("image => image.complete && image.naturalWidth") > 100
        shoot(f"asset-{label}")
        page.get_by_role("button", name="Close").click()
        expect(dialog).to_have_count(0)


def test_a_backfill_of_two_dumps_ends_well(served: Served, page: Page, launched: Launched, shoot: Shoot) -> None:
    see_backfill_succeed(page, served, launched.backfill)
    shoot("backfill")
    query = "query($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } } }"
    found = served.ask(query, id=launched.backfill.rpartition("/")[2])
    assert found["partitionBackfillOrError"]["status"] == "COMPLETED_SUCCESS"
    assert {"two", "three"} <= set(Store(str(served.root)).partitions("source_files"))


def test_ctrl_c_ends_every_process(served: Served) -> None:
    """Stands last: it ends the UI of the others."""
    before = descendants(served.process.pid)
    assert len(before) >= 4  # the command, `dagster dev`, webserver, daemon, code server
    assert stop(served) == 0, served.told()
    assert survivors(before, "") == {}

"""What a user does with the mouse, several times over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import expect

from cpp_pipeline_tests.ui.served import Served, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

ENDS_SECONDS = 600.0
ENDED = {"SUCCESS", "FAILURE", "CANCELED"}
BACKFILL_ENDED = {"COMPLETED_SUCCESS", "COMPLETED_FAILED", "CANCELED", "FAILED"}


def open_graph(page: Page, served: Served) -> Locator:
    """The asset graph as the UI opens it; returns the drawing."""
    page.goto(f"{served.url}/asset-groups")
    drawing = page.locator("svg foreignObject")
    expect(drawing.first).to_be_visible()
    return drawing


def launch(page: Page, served: Served, selection: str, gone: str, dumps: list[str], button: str) -> str:
    """Select assets in the graph, press Materialize, choose partitions, press `button`.

    Parameters
    ----------
    gone
        A group that is no longer in the graph once the selection holds.

    Returns
    -------
    str
        Address of what was launched.
    """
    open_graph(page, served)
    page.locator(".CodeMirror").click()
    page.keyboard.insert_text(selection)
    page.keyboard.press("Enter")
    expect(page.locator("svg foreignObject").get_by_text(gone, exact=True)).to_have_count(0)
    page.get_by_role("button", name="Materialize all").click()
    page.get_by_role("button", name="Confirm").click()  # tables that the same functions make come along
    page.get_by_text("Select a partition or create one").click()
    for dump in dumps:
        page.locator(f'[data-tooltip="{dump}"]').click()
    page.get_by_text("Launch runs to materialize").click()  # closes the list, wherever it has opened
    page.get_by_role("button", name=button).click()
    link = page.get_by_role("link", name="View", exact=True).get_attribute("href")
    assert link
    return link


def see_run_succeed(page: Page, served: Served, address: str) -> None:
    """Wait for the end of a run and see on its page that it has succeeded.

    No page is open meanwhile: what moves on it costs as much processor time as the run.
    """
    query = "query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
    number = address.rpartition("/")[2]
    page.goto("about:blank")
    wait_until(lambda: served.ask(query, id=number)["runOrError"]["status"] in ENDED, ENDS_SECONDS, served)
    page.goto(served.url + address)
    expect(page.get_by_text("Success", exact=True).first).to_be_visible()


def see_backfill_succeed(page: Page, served: Served, address: str) -> None:
    """Wait for the end of a backfill and see on its page that its status, not a column's head, is success."""
    query = "query($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } } }"
    number = address.rpartition("/")[2]
    page.goto("about:blank")
    wait_until(
        lambda: served.ask(query, id=number)["partitionBackfillOrError"]["status"] in BACKFILL_ENDED,
        ENDS_SECONDS,
        served,
    )
    page.goto(served.url + address)
    status = page.get_by_text("Status", exact=True).locator("..")
    expect(status.get_by_text("Succeeded", exact=True)).to_be_visible()

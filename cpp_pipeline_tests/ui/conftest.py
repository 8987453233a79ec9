"""One browser and one UI for all tests of this folder, and where their screenshots go."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cpp_pipeline.storage.dumps import add_dump
from cpp_pipeline.storage.store import Store
from cpp_pipeline_tests.ui.served import Served, environment, start, stop

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WAITS_MS = 60_000
SOURCE = """\
// SPDX-License-Identifier: MIT
#include <string>
#include <vector>

/// Returns the sum of the distances between neighbouring positions, in metres.
/// \\param positions places along a line, in any order
int travelled(const std::vector<int>& positions) {
    int sum = 0;
    for (std::size_t i = 1; i < positions.size(); ++i) {
        sum += positions[i] > positions[i - 1] ? positions[i] - positions[i - 1] : positions[i - 1] - positions[i];
    }
    return sum;
}

/// Tells whether a word reads the same from both ends; the empty word does.
bool is_palindrome(const std::string& word) {
    std::string turned(word.rbegin(), word.rend());
    return turned == word;
}
"""
Shoot = Callable[[str], None]
Pages = Callable[[], "AbstractContextManager[Page]"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's chromium, headless; of one module, for Playwright's event loop keeps other tests from having theirs."""
    chromium = shutil.which("chromium")
    if chromium is None:
        assert "CI" not in os.environ, "CI installs the Debian packages of the Makefile, chromium among them"
        pytest.skip("needs a browser: sudo apt-get install -y chromium")
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=WAITS_MS)
    with sync_playwright() as playwright:
        sandboxed = os.geteuid() != 0  # chromium's own sandbox refuses root
        found = playwright.chromium.launch(executable_path=chromium, chromium_sandbox=sandboxed)
        yield found
        found.close()


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the screenshots: `UI_SCREENSHOTS`, or pytest's own temporary folder."""
    given = os.environ.get("UI_SCREENSHOTS")
    folder = Path(given).absolute() if given else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def pages(browser: Browser) -> Iterator[Pages]:
    """Opens an empty page of a laptop's size, that waits for what it is asked to find.

    They are tabs of one user: what the first has loaded and compiled, the others find in the browser's cache.
    """
    with browser.new_context(viewport={"width": 1440, "height": 900}) as context:
        context.set_default_timeout(WAITS_MS)

        @contextmanager
        def opened() -> Iterator[Page]:
            with context.new_page() as page:
                yield page

        yield opened


@pytest.fixture
def page(pages: Pages) -> Iterator[Page]:
    """An empty page."""
    with pages() as found:
        yield found


@pytest.fixture
def shoot(page: Page, pictures: Path) -> Shoot:
    """Keep a screenshot for people."""

    def take(name: str) -> None:
        page.screenshot(path=pictures / f"{name}.png", full_page=True, animations="disabled")

    return take


@pytest.fixture(scope="module")
def served(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The UI of a root on which nothing was run yet, with three small dumps."""
    folder = tmp_path_factory.mktemp("ui")
    for name in ("one", "two", "three"):
        (folder / name).mkdir()
        (folder / name / "distances.cpp").write_text(SOURCE)
        add_dump(Store(str(folder / "root")), folder / name, name)
    found = start(folder / "root", folder / "log", environment())
    try:
        yield found
    finally:
        if found.process.poll() is None:
            stop(found)

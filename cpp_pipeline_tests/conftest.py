"""What tests of every room share."""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from cpp_pipeline_tests.gcs.fixtures import bucket, gcs_server
from cpp_pipeline_tests.minutes import pytest_terminal_summary
from cpp_pipeline_tests.public_data import public_data

__all__ = ["bucket", "gcs_server", "pytest_terminal_summary"]
if workers := os.environ.get("PYTEST_XDIST_WORKER_COUNT"):
    # Threads of OpenMP that wait spin: processes that have all cores each would take several times as long.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // int(workers))))
    gc.disable()  # until this process has imported all tests, see below

settings.register_profile("each commit", settings.get_profile("ci"), max_examples=50)
settings.load_profile("each commit")
"""The same examples at each run, no deadline; `--hypothesis-profile default` looks for twice as many, and new ones."""

_FIRST = ("test_end_to_end.py", "launch", "test_dagster_ui.py", "test_bad_input.py", "test_pod.py")
"""Files and folders of minutes: begun last, one of them would keep a single process busy after all others have ended.
The longest takes whole processors; beside it go the tests of `launch`, which mostly wait."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files of minutes first; xdist hands out files in this order (`--no-loadscope-reorder`)."""

    def rank(item: pytest.Item) -> int:
        names = item.nodeid.split("::")[0].split("/")
        return min((place for place, name in enumerate(_FIRST) if name in names), default=len(_FIRST))

    items.sort(key=rank)


def pytest_collection_finish() -> None:
    """What importing all tests made stays to the end; looking for garbage in it took 5 s of each process."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _no_verdict_cache() -> Iterator[None]:
    """Every verdict of a test is judged in that test; the user's own verdicts are neither read nor written."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("CPP_PIPELINE_VERDICT_CACHE", "none")
        yield


@pytest.fixture(autouse=True)
def _sigterm_ends_processes() -> None:
    """What an earlier test did to SIGTERM, processes that a test starts would inherit."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_IGN:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of the public data, with the definitions of agent-sandbox in it."""
    return public_data("agent-sandbox-crds").parent


@pytest.fixture(scope="session")
def sandbox_url() -> Iterator[str]:
    """One real controller for all tests that judge code."""
    from cpp_pipeline.sandbox.local import local_controller

    with local_controller(workers=2) as url:
        yield url

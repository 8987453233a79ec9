"""One pod of each kind of boxes for all tests of the folder."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cpp_pipeline_tests.sandbox.pod.containers import Pod, pod


@pytest.fixture(scope="session", params=[pytest.param("bubblewrap", marks=pytest.mark.slow), "nested"])
def running(request: pytest.FixtureRequest) -> Iterator[Pod]:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        with pod(Path(name), request.param, makes_headers=request.param == "bubblewrap") as found:
            yield found

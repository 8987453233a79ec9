"""Real boxes and real compilers, without a judge around them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cpp_pipeline.sandbox.compiling.toolchain import Toolchain
from cpp_pipeline.sandbox.isolation.choose import open_backend
from cpp_pipeline.sandbox.judging.cases import Outcome, Tools, prepare
from cpp_pipeline.sandbox.judging.modes import MODES
from cpp_pipeline.sandbox.metrics import Metrics
from cpp_pipeline.sandbox.types import Job

Judge = Callable[[Job], Outcome]


@pytest.fixture(scope="session")
def tools() -> Iterator[Tools]:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        boxes = open_backend("bubblewrap", Path(name))
        yield Tools(boxes, Toolchain(boxes, Path(name)), Metrics())
        boxes.close()


@pytest.fixture(scope="session")
def judge(tools: Tools) -> Judge:
    """Judges one job by the mode that is chosen for it."""

    def one(job: Job) -> Outcome:
        case = prepare(job)
        return MODES[case.mode](case, tools)

    return one

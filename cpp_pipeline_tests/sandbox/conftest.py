"""One controller for all tests of the room, started the way users start it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cpp_pipeline.sandbox.client import SandboxClient
from cpp_pipeline.sandbox.local import local_controller


@pytest.fixture(scope="session")
def controller_url() -> Iterator[str]:
    with local_controller(workers=2) as url:
        yield url


@pytest.fixture(scope="session")
def client(controller_url: str) -> Iterator[SandboxClient]:
    with SandboxClient(controller_url) as found:
        yield found

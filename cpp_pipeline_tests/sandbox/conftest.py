"""A client of the controller that all tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cpp_pipeline.sandbox.client import SandboxClient


@pytest.fixture(scope="session")
def client(sandbox_url: str) -> Iterator[SandboxClient]:
    with SandboxClient(sandbox_url) as found:
        yield found

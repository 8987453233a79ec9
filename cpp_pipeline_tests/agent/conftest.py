"""What the agent's tests share: a client of the sandbox, a small untrained router."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cpp_pipeline.agent.router_data import router_rows
from cpp_pipeline.sandbox.client import SandboxClient


@pytest.fixture
def sandbox(sandbox_url: str) -> Iterator[SandboxClient]:
    """A client of the controller that all tests share."""
    with SandboxClient(sandbox_url) as client:
        yield client


@pytest.fixture(scope="session")
def router_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small router_sft table."""
    path = tmp_path_factory.mktemp("data") / "router_sft.parquet"
    router_rows(60, seed=1).collect().write_parquet(path)
    return path


@pytest.fixture(scope="session")
def router_folder(tmp_path_factory: pytest.TempPathFactory, router_table: Path) -> Path:
    """A router that was trained for two steps: the right format, no skill."""
    from cpp_pipeline.training.router import main

    folder = tmp_path_factory.mktemp("router")
    main(
        [
            *("--data", str(router_table), "--output", str(folder), "--preset", "smoke"),
            *("--steps", "2", "--batch", "4", "--threads", "1"),
        ]
    )
    return folder

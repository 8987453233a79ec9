"""What the tests of this room share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scratch folder outside of what a test reads as a dump."""
    return tmp_path_factory.mktemp("scratch")

"""Public data that some tests read and that are no part of the project: where they lie.

Belongs here: finding a file, or skipping with what to set. `CONTRIBUTING.md` says which files there are.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

VARIABLE = "CPP_PIPELINE_TEST_DATA"
DEFAULT = Path(__file__).resolve().parents[2] / "shared" / "data"


def public_path(name: str) -> Path:
    """Where a file or folder of the public data lies, if it is there."""
    return Path(os.environ.get(VARIABLE) or DEFAULT) / name


def public_data(name: str) -> Path:
    """A file or folder of the public data; skips the test that asks for one that is not there."""
    path = public_path(name)
    if not path.exists():
        pytest.skip(f"{path} is not there; {VARIABLE} names the folder that holds {name}")
    return path

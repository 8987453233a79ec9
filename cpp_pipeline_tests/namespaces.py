"""Tests that mount something, which only they see."""

from __future__ import annotations

import shutil
import subprocess

import pytest


def needs_own_mounts(script: str) -> None:
    """Skip where this machine does not let a test mount in a namespace of its own."""
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare (util-linux)")
    tried = subprocess.run(["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"mounting is not allowed here: {tried.stderr.strip()}")

"""Folders that outlive a service are used by the user alone who made them, and go when nobody uses them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from cpp_pipeline.sandbox.kept import kept_folder


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """What the cache takes for the folder of temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_cache_that_others_may_write_to_is_not_used(shared: Path) -> None:
    private = shared / "private"
    mine = kept_folder("some", "a", private)
    assert mine.parent == shared
    assert kept_folder("some", "a", private) == mine
    mine.chmod(0o777)
    assert kept_folder("some", "a", private) == private
    mine.rmdir()
    mine.symlink_to(shared)
    assert kept_folder("some", "a", private) == private


def test_caches_of_other_versions_go_when_nobody_has_used_them_for_days(shared: Path) -> None:
    old, recent = (kept_folder("some", name, shared / "private") for name in ("old", "recent"))
    for folder, days in ((old, 4), (recent, 1)):
        (folder / "some").mkdir()
        then = folder.stat().st_mtime - days * 86400
        os.utime(folder, (then, then))
    kept_folder("some", "new", shared / "private")
    assert (old.exists(), recent.exists()) == (False, True)

"""Copies of what a bucket holds: fetched once, whole, and given back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from upath import UPath

from cpp_pipeline.dumps.remote import NoRoom
from cpp_pipeline.storage.downloads import local_copy, release_copies
from cpp_pipeline.storage.place import at


@pytest.fixture(autouse=True)
def _no_copies() -> Iterator[None]:
    release_copies(0)
    yield
    release_copies(0)


def folder(bucket: str, name: str, size: int) -> UPath:
    at(f"{bucket}/{name}/deep/file").write(b"x" * size)
    return UPath(f"{bucket}/{name}")


def test_a_version_is_fetched_once(bucket: str) -> None:
    place = folder(bucket, "one", 3)
    copy = local_copy(place, {"deep/file": 3})
    assert (copy / "deep" / "file").read_bytes() == b"xxx"
    at(place).delete()
    assert local_copy(place, {"deep/file": 3}) == copy


def test_the_copies_not_asked_for_the_longest_go_first(bucket: str) -> None:
    copies = {n: local_copy(folder(bucket, n, 10), {"deep/file": 10}) for n in ("one", "two", "three")}
    local_copy(UPath(f"{bucket}/one"), {"deep/file": 10})
    assert release_copies(20) == 1
    assert {n: c.exists() for n, c in copies.items()} == {"one": True, "two": False, "three": True}
    assert release_copies(20) == 0 and release_copies(0) == 2
    assert not any(c.exists() for c in copies.values())


def test_a_file_that_is_missing_or_short_leaves_no_copy(bucket: str) -> None:
    place = folder(bucket, "one", 3)
    for listed in ({"deep/file": 4}, {"deep/file": 3, "absent": 1}):
        with pytest.raises(FileNotFoundError, match=rf"{bucket}/one/(deep/file has 3 bytes, not 4|absent)"):
            local_copy(place, listed)
    copy = local_copy(place, {"deep/file": 3})
    assert [p.name for p in Path(copy).parent.iterdir()] == [copy.name]


def test_a_disk_that_is_too_small_is_told_before_anything_is_fetched(bucket: str) -> None:
    with pytest.raises(NoRoom, match=f"{bucket}/one takes .* set TMPDIR"):
        local_copy(UPath(f"{bucket}/one"), {"huge": 10**16})

"""Copies on this machine of what a bucket holds, so that polars, duckdb and torch all read plain files.

Scanning `gs://` in place would read a table in many requests, between which it may be replaced; a copied version is
whole, is fetched once however often it is read, and is compared with the bucket's checksum on its way.

Belongs here: fetching once, and giving the disk back. Does not belong here: which version counts (`versions`).
"""

from __future__ import annotations

import shutil
import threading
import uuid
from collections.abc import Mapping
from pathlib import Path

from upath import UPath

from cpp_pipeline.dumps.remote import need_room
from cpp_pipeline.storage.gcs import in_parallel
from cpp_pipeline.storage.place import at
from cpp_pipeline.storage.scratch import scratch_folder

KEPT_BYTES = 8 << 30
"""What stays on this machine between two assets; one asset may need more."""

_COPIES: dict[str, tuple[Path, int]] = {}  # least recently asked for first
_LOCK = threading.Lock()


def local_copy(folder: UPath, files: Mapping[str, int]) -> Path:
    """A folder with these files, which never change in the bucket; fetched when it is asked for first.

    Raises
    ------
    NoRoom
        The scratch disk is too small; says what to set.
    FileNotFoundError
        A file is missing in the bucket, or has another size.
    """
    with _LOCK:
        found = _COPIES.pop(str(folder), None)
        if found is None:
            found = _fetched(folder, files), sum(files.values())
        _COPIES[str(folder)] = found
        return found[0]


def release_copies(kept_bytes: int = KEPT_BYTES) -> int:
    """Remove the copies that were not asked for the longest, down to `kept_bytes`; returns how many.

    Only for the end of an asset's work: a lazy frame may still read its copy before that.
    """
    with _LOCK:
        removed = 0
        held = sum(size for _, size in _COPIES.values())
        for url in list(_COPIES):
            if held <= kept_bytes:
                break
            path, size = _COPIES.pop(url)
            shutil.rmtree(path, ignore_errors=True)
            held -= size
            removed += 1
        return removed


def _fetched(folder: UPath, files: Mapping[str, int]) -> Path:
    target = scratch_folder() / "stored" / uuid.uuid4().hex
    need_room(target, sum(files.values()), str(folder))
    try:
        target.mkdir(parents=True)
        in_parallel(lambda name: at(folder / name).download(target / name), files)
        for name, size in files.items():
            if (target / name).stat().st_size != size:
                raise FileNotFoundError(f"{folder / name} has {(target / name).stat().st_size} bytes, not {size}")
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise
    return target

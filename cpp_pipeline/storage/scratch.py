"""Intermediate files of a process.

Belongs here: where they lie, and that they go when the process ends, however it ends. Does not belong here: what
is kept (`store`).
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import tempfile
import uuid
from functools import cache
from pathlib import Path

import polars as pl

from cpp_pipeline.storage.parquet import write_parquet

_PREFIX = "cpp_pipeline-"
_ALIVE = ".alive"
Spooled = tuple[pl.LazyFrame, Path]
_SPOOLED: dict[int, Spooled] = {}


@cache
def scratch_folder() -> Path:
    """A folder of this process for intermediate files, removed at its end; those of killed processes go too."""
    remove_orphans()
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    # The lock ends with the process. It is taken before the file gets the name by which others look for it.
    handle = os.open(folder / f"{_ALIVE}.new", os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(handle, fcntl.LOCK_EX)
    os.rename(folder / f"{_ALIVE}.new", folder / _ALIVE)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def remove_orphans() -> int:
    """Remove scratch folders of this user whose process was killed; returns how many."""
    removed = 0
    for alive in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/{_ALIVE}"):
        try:
            handle = os.open(alive, os.O_RDWR)
        except (FileNotFoundError, PermissionError):  # gone since, or another user's
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # its process lives
            continue
        else:
            shutil.rmtree(alive.parent, ignore_errors=True)
            removed += 1
        finally:
            os.close(handle)
    return removed


def scratch_file(suffix: str = ".parquet") -> Path:
    """A new path in the scratch folder."""
    return scratch_folder() / f"{uuid.uuid4().hex}{suffix}"


def spooled(frame: pl.LazyFrame) -> Spooled:
    """Do a frame's work once, into a scratch file, and scan that."""
    path = scratch_file()
    write_parquet(frame, path)
    scan = pl.scan_parquet(path)
    _SPOOLED[id(scan)] = (scan, path)
    return scan, path


def release_spool(frame: pl.LazyFrame) -> None:
    """Give a spooled frame's disk space back, once it lies in its table."""
    if id(frame) in _SPOOLED:
        _SPOOLED.pop(id(frame))[1].unlink(missing_ok=True)

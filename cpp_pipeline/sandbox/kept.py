"""What this user's services leave in the folder of temporary files for the next one: compiled, and trusted.

Belongs here: the folders, who may be trusted to have filled them, and when they go. Does not belong here: what is in
them (`isolation.launcher`, `compiling.pch`), and verdicts (`judging.cache`).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
import time
from pathlib import Path

_UNUSED_DAYS = 3


def kept_folder(kind: str, name: str, private: Path) -> Path:
    """The folder of that kind and name that outlives the service; `private` where this user cannot trust it."""
    parent, prefix = Path(tempfile.gettempdir()), f"cpp-pipeline-{kind}-{os.geteuid()}-"
    shared = parent / f"{prefix}{name}"
    with contextlib.suppress(FileExistsError):  # of something that is no folder: refused below
        shared.mkdir(mode=0o755, exist_ok=True)
    if shared.is_dir() and is_closed(shared, os.geteuid()):
        os.utime(shared)
        for other in parent.glob(f"{prefix}*"):  # of other versions, for which nobody has asked for days
            with contextlib.suppress(FileNotFoundError):  # another service that starts removes them too
                if time.time() - other.lstat().st_mtime > _UNUSED_DAYS * 86400:
                    shutil.rmtree(other, ignore_errors=True)
        return shared
    private.mkdir(exist_ok=True)
    return private


def is_closed(path: Path, *owners: int) -> bool:
    """Whether it is no link, belongs to one of these users, and nobody else may write to it."""
    found = path.lstat()
    return found.st_uid in owners and not stat.S_ISLNK(found.st_mode) and not found.st_mode & 0o022

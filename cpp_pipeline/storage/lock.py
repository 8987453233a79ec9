"""One run at a time works on a storage root: two would resume the same work folders.

Belongs here: taking and freeing the lock. Does not belong here: refusing a single late writer (`place.Refused`), which
holds for whoever writes without the lock, as materializing from the UI does.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import time
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from upath import UPath

from cpp_pipeline.storage.place import ABSENT, Refused, at
from cpp_pipeline.storage.store import Store

LOCK = ".lock"


def alone(store: Store) -> AbstractContextManager[None]:
    """Hold the root's lock.

    Raises
    ------
    RuntimeError
        Another run holds it; says which, and what to do when that one was killed.
    """
    return _file_lock(Path(str(store.root))) if store.is_local else _object_lock(store.root)


def unlock(store: Store) -> str:
    """Take the lock of a bucket away from a run that was killed; returns whose it was, empty when nobody's.

    The lock of a local root ends with its process, whatever ended that.
    """
    content = None if store.is_local else at(store.root / LOCK).read()
    if content is None:
        return ""
    at(store.root / LOCK).delete()
    return _holder(content)


@contextmanager
def _file_lock(root: Path) -> Iterator[None]:
    root.mkdir(parents=True, exist_ok=True)
    with (root / LOCK).open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RuntimeError(f"another run is working on {root} (pid in {root}/.pid); wait for it") from None
        (root / ".pid").write_text(str(os.getpid()))
        yield


@contextmanager
def _object_lock(root: UPath) -> Iterator[None]:
    lock = at(root / LOCK)
    since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    who = {"host": platform.node(), "pid": os.getpid(), "since": since, "id": uuid.uuid4().hex}
    ours = json.dumps(who).encode()
    try:
        lock.write(ours, ABSENT)
    except Refused:
        holder = _holder(lock.read() or b"{}")
        raise RuntimeError(
            f"another run is working on {root}: {holder}. Wait for it; if it was killed, free the root with "
            f"`cpp-pipeline unlock --root {root}` and run again"
        ) from None
    try:
        yield
    finally:
        if lock.read() == ours:  # else somebody has unlocked the root meanwhile
            lock.delete()


def _holder(content: bytes) -> str:
    try:
        who = json.loads(content)
        return f"process {who['pid']} on {who['host']} since {who['since']}"
    except (ValueError, KeyError, TypeError):
        return "somebody who has left no name"

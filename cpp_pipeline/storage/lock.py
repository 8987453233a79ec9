"""One `cpp-pipeline run` at a time works on a storage root: two would resume the same work folders.

Steps of other Dagster runs (UI, sensors, backfills) share a local root among them. Such a step waits for `cpp-pipeline
run` to end, and that waits for the steps under way. In a bucket they do not know of each other.

Belongs here: taking and freeing the lock. Does not belong here: refusing a single late writer (`place.Refused`), which
holds for whoever writes without the lock.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import IO

from upath import UPath

from cpp_pipeline.storage.place import ABSENT, Refused, at
from cpp_pipeline.storage.store import Store

LOCK, STEPS = ".lock", ".steps"
Tell = Callable[[str], None]
_OURS: set[str] = set()
"""Roots that this process works on alone: its own steps wait for nobody."""
_POLL_SECONDS = 0.5


def alone(store: Store, tell: Tell = lambda _: None) -> AbstractContextManager[None]:
    """Hold the root's lock, after the steps of other Dagster runs that are under way.

    Raises
    ------
    RuntimeError
        Another such run holds it; says which, and what to do when that one was killed.
    """
    return _file_lock(Path(str(store.root)), tell) if store.is_local else _object_lock(store.root)


@contextmanager
def among_others(store: Store, tell: Tell) -> Iterator[None]:
    """Work on a root as one step of a Dagster run, after the `cpp-pipeline run` that is under way."""
    root = Path(str(store.root))
    if not store.is_local or not store.is_written or str(root.resolve()) in _OURS:
        yield
        return
    root.mkdir(parents=True, exist_ok=True)
    with (root / LOCK).open("a") as lock, (root / STEPS).open("a") as steps:
        _wait(lock, fcntl.LOCK_SH, lambda: tell(f"waiting for `cpp-pipeline run` on {root} (pid in {root}/.pid)"))
        fcntl.flock(steps, fcntl.LOCK_SH)
        fcntl.flock(lock, fcntl.LOCK_UN)  # from here on a run that wants the root alone waits for `steps`
        with _freed(steps):
            yield


def _wait(handle: IO[str], how: int, tell: Callable[[], None]) -> None:
    """Take a file lock; what others hold is told once and waited for."""
    told = False
    while True:
        try:
            fcntl.flock(handle, how | fcntl.LOCK_NB)
        except BlockingIOError:
            if not told:
                tell()
            told = True
            time.sleep(_POLL_SECONDS)
        else:
            return


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
def _freed(handle: IO[str]) -> Iterator[None]:
    """Free a lock at the end even if a child process has inherited the open file."""
    try:
        yield
    finally:
        fcntl.flock(handle, fcntl.LOCK_UN)


@contextmanager
def _file_lock(root: Path, tell: Tell) -> Iterator[None]:
    root.mkdir(parents=True, exist_ok=True)
    with (root / LOCK).open("a") as lock, (root / STEPS).open("a") as steps:
        if not _takes(lock):
            raise RuntimeError(f"another run is working on {root} (pid in {root}/.pid); wait for it")
        with _freed(lock), _freed(steps):
            _wait(steps, fcntl.LOCK_EX, lambda: tell(f"waiting for steps of the Dagster UI or daemon on {root}"))
            (root / ".pid").write_text(str(os.getpid()))
            _OURS.add(str(root.resolve()))
            try:
                yield
            finally:
                _OURS.discard(str(root.resolve()))


def _takes(lock: IO[str]) -> bool:
    """Take a lock for oneself; others that pass through hold it for a moment."""
    for _ in range(3):
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(_POLL_SECONDS / 5)
    return False


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

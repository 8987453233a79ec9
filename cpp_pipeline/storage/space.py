"""What to tell a user whose disk is full.

Belongs here: knowing such an error by its words, and the words of the remedy. Does not belong here: cleaning up
(`store.Store.sweep`), which is the next run's work.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

# as the operating system, polars and pyarrow, and SQLite (Dagster's records) word it
_FULL = ("No space left on device", "Disk quota exceeded", "database or disk is full")


def is_full(message: str) -> bool:
    """True when an error's words say that a disk is full."""
    return any(words in message for words in _FULL)


def with_remedy(message: str, root: str) -> str:
    """The message; of a full disk also where there is how much room, and what to do."""
    if not is_full(message):
        return message
    places = dict.fromkeys([tempfile.gettempdir()] if "://" in root else [root, tempfile.gettempdir()])
    return (
        f"{message}\n  The disk is full ({', '.join(_room(places))}). Free some space, or set TMPDIR to a "
        "larger disk for scratch files, and run again: what is finished is kept."
    )


@contextmanager
def told_plainly(root: str) -> Iterator[None]:
    """Turn any error that a full disk caused, whichever library met it, into one with the remedy.

    Raises
    ------
    RuntimeError
        The disk of the root, or of the scratch files, is full.
    """
    try:
        yield
    except Exception as error:
        first = str(error).partition("\n")[0]
        if not is_full(first):
            raise
        raise RuntimeError(with_remedy(first, root)) from error


def _room(places: Iterable[str]) -> list[str]:
    return [f"{shutil.disk_usage(p).free / 2**20:,.1f} MiB free at {p}" for p in places if Path(p).exists()]

"""The programs of tests, compiled once a problem and kept while they are used.

Belongs here: which are there, who uses them, which are removed. Not here: their text (`harness`).
"""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cpp_pipeline.sandbox.isolation.launcher import remove_tree

KEPT = 512


@dataclass
class _Entry:
    lock: threading.Lock = field(default_factory=threading.Lock)
    users: int = 0
    folder: Path | None = None
    trouble: str | None = None


class TestPrograms:
    """At most `kept` compiled programs, the least recently used removed first; safe for several threads."""

    __test__ = False  # not a test class, in spite of its name

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, _Entry] = OrderedDict()

    @contextlib.contextmanager
    def use(self, key: str, build: Callable[[], tuple[Path, str]]) -> Iterator[tuple[Path | None, str]]:
        """The program of `key`, or None and why it does not compile; it stays in place during the block.

        `build` gives its folder and the trouble ("" when there is none), and is called once, also when several
        threads ask at the same time. An exception of `build` reaches its caller, and the next one tries again.
        """
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
            self._entries.move_to_end(key)
            entry.users += 1
        try:
            with entry.lock:
                if entry.folder is None:
                    entry.folder, entry.trouble = build()
            yield (None if entry.trouble else entry.folder / "program"), entry.trouble or ""
        finally:
            with self._lock:
                entry.users -= 1
            self._trim()

    def _trim(self) -> None:
        with self._lock:
            surplus = len(self._entries) - self._kept
            idle = [k for k, e in self._entries.items() if e.users == 0][: max(0, surplus)]
            removed = [self._entries.pop(k) for k in idle]
        for entry in removed:
            if entry.folder is not None:
                remove_tree(entry.folder)

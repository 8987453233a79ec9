"""How far a reader is, told every few seconds.

Belongs here: counting and the clock. Does not belong here: where it is shown.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

Tell = Callable[[int, int], None]
"""Called with the files and the bytes read so far."""

SECONDS = 5.0
MARK = "so far: "
"""How a line of progress begins, so that whoever reads a log knows it."""


def silent(_files: int, _bytes: int) -> None:
    """Tells nobody."""


@dataclass
class Progress:
    """Counts files and bytes, and tells them every `SECONDS` and at the end, when there was time to tell anything."""

    tell: Tell = silent
    files: int = 0
    bytes: int = 0

    def __post_init__(self) -> None:
        self._next = time.monotonic() + SECONDS
        self._told = False

    def add(self, size_bytes: int) -> None:
        """Count one file."""
        self.files += 1
        self.bytes += size_bytes
        if time.monotonic() >= self._next:
            self.tell(self.files, self.bytes)
            self._told = True
            self._next = time.monotonic() + SECONDS

    def end(self) -> None:
        """Tell the last figures, when figures were told before."""
        if self._told:
            self.tell(self.files, self.bytes)


def words(files: int, size_bytes: int) -> str:
    """The figures in words, with `MARK` first."""
    return f"{MARK}{files:,} files, {size_bytes / 1e6:,.1f} MB read"

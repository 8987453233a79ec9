"""Boxes without a file system of their own: paths of the box become paths of the host, and back in messages.

Belongs here: the folder that stands for the box's /tmp, and the translation. It is a convenience for trusted callers,
whose commands name files as they are called in a box; it keeps nothing apart.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cpp_pipeline.sandbox.isolation.box import Box, IsolationError
from cpp_pipeline.sandbox.isolation.launcher import ENVIRONMENT, remove_tree

_FILES, _DEPTH = 2000, 16
# in front of a path: nothing that belongs to a longer path, or a flag that takes its value without a space
_BEFORE = r"(?:(?<![\w./-])|(?<=^-[IBL])|(?<=\s-[IBL]))"


class HostPaths:
    """The paths of one box, whose /tmp is `folder`."""

    def __init__(self, box: Box, folder: Path) -> None:
        pairs = [(str(folder), "/tmp"), *box.readonly, *box.writable]
        self._outside = {inside: outside for outside, inside in pairs}
        inside = "|".join(re.escape(path) for path in sorted(self._outside, key=len, reverse=True))
        self._pattern = re.compile(rf"{_BEFORE}({inside})(?![\w.-])")
        self.argv = [self.outside(word) for word in box.argv]
        self.environment = {**ENVIRONMENT, "TMPDIR": str(folder)}
        self.environment |= {name: self.outside(value) for name, value in box.environment.items()}

    def outside(self, text: str) -> str:
        """The text with every path of the box as a path of the host; of two that fit, the longer counts."""
        return self._pattern.sub(lambda found: self._outside[found[1]], text)

    def inside(self, text: bytes) -> bytes:
        """The text with every path of the host as it is called in the box."""
        for inside, outside in sorted(self._outside.items(), key=lambda pair: len(pair[1]), reverse=True):
            text = text.replace(outside.encode(), inside.encode())
        return text


@contextlib.contextmanager
def scratch(parent: Path, uid: int) -> Iterator[Path]:
    """New folder that belongs to `uid` alone; removed with all that is in it. Raises IsolationError without one."""
    try:
        folder = Path(tempfile.mkdtemp(dir=parent))
    except OSError as error:
        raise IsolationError(f"no folder for a box: {error}; is the disk full?") from error
    try:
        if uid != os.geteuid():
            os.chown(folder, uid, -1)
        yield folder
    finally:
        remove_tree(folder)


def more_than(folder: Path, most: int) -> bool:
    """Whether the files below use more bytes of disk than `most`, or are too many or too deep to be counted often."""
    used = count = 0
    left = [(str(folder), 0)]
    while left:
        path, depth = left.pop()
        with contextlib.suppress(OSError), os.scandir(path) as entries:  # the box goes on removing them
            for entry in entries:
                found = entry.stat(follow_symlinks=False)
                used, count = used + 512 * found.st_blocks, count + 1
                if used > most or count > _FILES or depth > _DEPTH:
                    return True
                if entry.is_dir(follow_symlinks=False):
                    left.append((entry.path, depth + 1))
    return False

"""What readers hand on: a file that may be read, and a row that is kept out with its reason.

Belongs here: the two small records that all readers of this room share. Does not belong here: any reading.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from cpp_pipeline.dumps.kinds import Language

MAX_DETAIL_TEXT = 2_000
MAX_PATH_BYTES = 4_096
CutShort = Literal[
    "archive too large",
    "broken archive",
    "broken file",
    "decompression bomb",
    "folder too large",
    "missing object",
    "no text column",
    "not copied",
    "reader ended",
    "repeated folder",
    "too many files",
    "unreadable folder",
    "unreadable repository",
]
CUT_SHORT: tuple[str, ...] = get_args(CutShort)
"""Reasons by which a dump is not whole: an archive, table or repository is damaged, or was not read to its end."""


@dataclass(frozen=True)
class Bad:
    """A row for a quarantine table.

    Attributes
    ----------
    where
        File (and line) inside the dump.
    reason
        The same words for the same cause.
    detail
        What was seen.
    text
        The text concerned; cut to 2,000 characters.
    """

    where: str
    reason: str
    detail: str
    text: str = ""

    def row(self, dump: str) -> dict[str, str]:
        """The row for a table of dump `dump`."""
        return {
            "row_id": f"{dump}:{self.where}",
            "reason": self.reason,
            "detail": f"{self.where}: {self.detail}",
            "text": printable(self.text[:MAX_DETAIL_TEXT]),
        }


def cut_short(where: str, reason: CutShort, seen: object) -> Bad:
    """The row for a part of the dump that is not read to its end."""
    return Bad(where, reason, f"{seen}; the rest is not read")


@dataclass(frozen=True)
class Entry:
    """A file of a folder or commit: its path in the repository, its size, and how to get its bytes."""

    path: str
    size_bytes: int
    read: Callable[[], bytes]


@dataclass(frozen=True)
class RawFile:
    """A source file before the guards. `read` may raise OSError or KeyError (object missing)."""

    repo: str
    path: str
    commit: str | None
    licence: str | None
    """Licence of the repository or record; a tag in the file's head goes before it."""
    language: Language
    size_bytes: int
    read: Callable[[], bytes]
    where: str
    """Place inside the dump for messages, as `file` or `file:line`."""
    is_vendored: bool = False
    """A record says that the code is of third parties; the path may say so too."""
    is_generated: bool = False
    """A record says that a program wrote the code; the path or the text may say so too."""


def name_trouble(name: str) -> str | None:
    """Why an archive member or an object may not become a file of this name; None when it may."""
    parts = name.split("/")
    if name.startswith("/") or "\\" in name or "\0" in name or (len(name) > 1 and name[1] == ":"):
        return "archive member with an absolute or foreign name"
    if ".." in parts:
        return "archive member that climbs out with '..'"
    if len(name.encode("utf-8", "surrogatepass")) > MAX_PATH_BYTES:
        return "archive member with a name too long"
    return None


def printable(text: str) -> str:
    """Text that every table can hold: lone surrogates become U+FFFD."""
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def path_text(raw: bytes) -> str:
    """A path's bytes as text; bytes that are not UTF-8 become `\\xNN`, so different paths stay different."""
    return raw.decode("utf-8", "backslashreplace")

"""From bytes to text that a parser can take, or the reason why not.

Belongs here: the guards against input that costs a parser minutes or gigabytes (binary data, enormous lines,
absurd nesting), in the order cheapest first, and the repair of marks and line ends. Does not belong here:
where the bytes come from.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

MAX_BYTES = 2_000_000
MAX_LINE = 20_000
MAX_MEAN_LINE = 500
MAX_NESTING = 1_000
_NUL_WINDOW = 8_192
_MAX_INVALID_SHARE = 0.01
_ANGLES = re.compile(rb"<<|>>|->|[<>;{}]")


@dataclass(frozen=True)
class Refusal:
    """Why a file is not read: the same words for the same cause, and what was seen."""

    reason: str
    detail: str


def too_large(size_bytes: int, limit: int = MAX_BYTES) -> Refusal | None:
    """The first guard, to be asked before any byte is read."""
    if size_bytes <= limit:
        return None
    return Refusal("too large", f"{size_bytes} bytes, limit {limit}")


def decode(data: bytes, limit: int = MAX_BYTES) -> str | Refusal:
    """Text with LF line ends and without byte order mark, or the first guard that `data` fails.

    Bytes that are not UTF-8 become U+FFFD as long as they are at most 1 % of the file.
    """
    refusal = too_large(len(data), limit)
    if refusal is not None:
        return refusal
    text = _to_text(data)
    if isinstance(text, Refusal):
        return text
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    return _long_lines(text) or _nesting(text.encode()) or text


def _to_text(data: bytes) -> str | Refusal:
    if data[:4] in (b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff"):
        return Refusal("binary", "UTF-32 byte order mark")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        try:
            return data.decode("utf-16")
        except UnicodeDecodeError as error:
            return Refusal("binary", f"UTF-16 byte order mark, but {error.reason} at byte {error.start}")
    nul = data.find(b"\0", 0, _NUL_WINDOW)
    if nul >= 0:
        return Refusal("binary", f"NUL at byte {nul}")
    text = data.decode(errors="replace")
    invalid = text.count("\ufffd") - data.count("\ufffd".encode())
    if invalid > _MAX_INVALID_SHARE * len(data):
        return Refusal("binary", f"{invalid} of {len(data)} bytes are not UTF-8")
    return text


def _long_lines(text: str) -> Refusal | None:
    lines = text.split("\n")
    longest = max(map(len, lines))
    if longest > MAX_LINE:
        return Refusal("long line", f"longest line {longest} characters, limit {MAX_LINE}")
    mean = len(text) / (len(lines) - (not lines[-1]) or 1)
    if mean > MAX_MEAN_LINE:
        return Refusal("long lines", f"mean line {mean:.0f} characters, limit {MAX_MEAN_LINE}")
    return None


def _nesting(data: bytes) -> Refusal | None:
    for opening, closing in (b"{}", b"()"):
        if data.count(opening) > MAX_NESTING and _depth(data, opening, closing) > MAX_NESTING:
            return Refusal("nesting", f"more than {MAX_NESTING} levels of {chr(opening)}")
    if data.count(b"<") > MAX_NESTING and _angle_depth(data) > MAX_NESTING:
        return Refusal("nesting", f"more than {MAX_NESTING} levels of <")
    return None


def _depth(data: bytes, opening: int, closing: int) -> int:
    raw = np.frombuffer(data, np.uint8)
    steps = (raw == opening).astype(np.int32) - (raw == closing)
    level = np.cumsum(steps)
    # Counted from the lowest point so far, so that stray closings (in comments) do not hide a tower.
    return int((level - np.minimum(np.minimum.accumulate(level), 0)).max())


def _angle_depth(data: bytes) -> int:
    """Unclosed `<` within one statement; shifts, arrows and statement ends do not count as nesting."""
    depth = deepest = 0
    for match in _ANGLES.finditer(data):
        token = match.group()
        if token == b"<":
            depth += 1
            deepest = max(deepest, depth)
        elif token == b">":
            depth = max(0, depth - 1)
        elif token == b">>":
            depth = max(0, depth - 2)
        elif token in (b";", b"{", b"}"):
            depth = 0
    return deepest

"""The pieces of a file that a change touches, small enough to be parsed alone.

Belongs here: cutting both sides of a change at the same places. Does not belong here: what is in the pieces
(`touched.py`).

A commit changes a few lines of a file, and parsing the rest of it would cost nearly all of the time. Text that
is equal on both sides holds no change. So a piece is a run of changed lines, widened on both sides to the next
line that begins with `}`: there, a definition at file or namespace level has ended.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from rapidfuzz.distance import Indel

_BRACE = re.compile(rb"""\"(?:[^"\\\n]|\\.)*+"|'(?:[^'\\\n]|\\.)++'|//[^\n]*+|/\*.*?(?:\*/|\Z)|[{}]""", re.DOTALL)
_MAX_LINES = 4_000


@dataclass(frozen=True)
class Piece:
    """The same place of a file on both sides of a change; whole lines. The last `tail` bytes are equal."""

    before: str
    after: str
    tail: int

    def closed(self) -> Piece | None:
        """Without what follows the definitions that the piece opens.

        None when a brace before the last changed line closes what the piece does not open: then it was cut inside a
        definition and cannot be read alone.
        """
        a, b = self.before.encode("utf-8", "replace"), self.after.encode("utf-8", "replace")
        cut = max(_unmatched(a), _unmatched(b))
        if cut > self.tail:
            return None
        return Piece(a[: len(a) - cut].decode(), b[: len(b) - cut].decode(), self.tail - cut) if cut else self


@dataclass
class _Span:
    """Bytes [a, a_end) of one side stand where [b, b_end) stand on the other; the last `tail` bytes are equal."""

    a: int
    a_end: int
    b: int
    b_end: int
    tail: int = 0


def pieces(before: str, after: str) -> list[Piece]:
    """The places that differ, in order."""
    if before == after:
        return []
    a, b = before.encode("utf-8", "replace"), after.encode("utf-8", "replace")
    joined: list[_Span] = []
    for span in (_widened(a, hunk) for hunk in _hunks(a, b)):
        if joined and span.a < joined[-1].a_end:
            joined[-1].a_end, joined[-1].b_end, joined[-1].tail = span.a_end, span.b_end, span.tail
        else:
            joined.append(span)
    return [Piece(a[s.a : s.a_end].decode(), b[s.b : s.b_end].decode(), s.tail) for s in joined]


def core(before: str, after: str) -> tuple[str, str]:
    """Both texts without the lines that are equal at their beginning and end.

    The whole texts where a comment, a raw string or a continued line reaches over these borders, so that what is lexed
    alone is lexed alike.
    """
    a, b = before.encode("utf-8", "replace"), after.encode("utf-8", "replace")
    head = a.rfind(b"\n", 0, _common(a, b, 1)) + 1
    tail = _lines_at_end(a, b, head)
    cut = a[head : len(a) - tail], b[head : len(b) - tail]
    if any(_runs_on(part) for part in (a[:head], *cut)):
        return before, after
    return cut[0].decode(), cut[1].decode()


def _runs_on(code: bytes) -> bool:
    opened = code.rfind(b"/*")
    return (opened >= 0 and code.rfind(b"*/") < opened + 2) or b'R"' in code or code.endswith(b"\\\n")


def _widened(a: bytes, hunk: _Span) -> _Span:
    """From behind the last line that begins with `}` to the end of the next one."""
    first = a.rfind(b"\n}", 0, hunk.a)
    start = a.find(b"\n", first + 1) + 1 if first >= 0 else 0
    last = a.find(b"\n}", max(0, hunk.a_end - 1))
    end = (a.find(b"\n", last + 1) + 1 if last >= 0 else 0) or len(a)
    tail = end - hunk.a_end
    return _Span(start, end, hunk.b - (hunk.a - start), hunk.b_end + tail, tail)


def _hunks(a: bytes, b: bytes) -> list[_Span]:
    """The runs of lines that differ, by the longest common subsequence of lines."""
    head = a.rfind(b"\n", 0, _common(a, b, 1)) + 1
    tail = _lines_at_end(a, b, head)
    lines = [s[head : len(s) - tail].splitlines(keepends=True) for s in (a, b)]
    if not all(lines) or max(map(len, lines)) > _MAX_LINES:
        return [_Span(head, len(a) - tail, head, len(b) - tail)]
    starts = [list(accumulate(map(len, side), initial=head)) for side in lines]
    numbers: dict[bytes, int] = {}
    sides = [[numbers.setdefault(line, len(numbers)) for line in side] for side in lines]
    return [
        _Span(starts[0][op.src_start], starts[0][op.src_end], starts[1][op.dest_start], starts[1][op.dest_end])
        for op in Indel.opcodes(sides[0], sides[1])
        if op.tag != "equal"
    ]


def _common(a: bytes, b: bytes, step: int) -> int:
    """Number of equal bytes at the beginning (`step` 1) or at the end (-1)."""
    n = min(len(a), len(b))
    x, y = (np.frombuffer(s, np.uint8)[::step][:n] for s in (a, b))
    differing = x != y
    at = int(differing.argmax()) if n else 0
    return at if n and differing[at] else n


def _lines_at_end(a: bytes, b: bytes, head: int) -> int:
    """Bytes of the equal whole lines at the end; the first `head` bytes, whole lines too, are not looked at."""
    n = _common(a[head:], b[head:], -1)
    if all(len(s) - n == head or s[len(s) - n - 1] == ord("\n") for s in (a, b)):
        return n
    start = a.find(b"\n", len(a) - n) + 1
    return len(a) - start if start else 0


def open_braces(code: bytes) -> int:
    """How many more braces open than close, those in strings and comments left out."""
    found = _BRACE.findall(code)
    return found.count(b"{") - found.count(b"}")


def _unmatched(code: bytes) -> int:
    """Bytes from the line of the first brace that closes what `code` does not open to the end; 0 without one."""
    depth = 0
    for found in _BRACE.finditer(code):
        if found[0] == b"{":
            depth += 1
        elif found[0] == b"}":
            depth -= 1
            if depth < 0:
                return len(code) - (code.rfind(b"\n", 0, found.start()) + 1)
    return 0

"""Conditions of the preprocessor that divide what they should not.

Belongs here: leaving only the first branch of each condition. Does not belong here: the choice of a configuration; of
an ordinary condition all branches are read.

`#if A void f(int a) { #else void f(long a) { #endif` opens two braces and closes one: no tree can hold both branches.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

_CONDITION = re.compile(
    rb"^[ \t]*+\#[ \t]*+ (if|ifdef|ifndef|elif|elifdef|elifndef|else|endif)\b ([^\\\n]*+(?:\\.[^\\\n]*+)*+)",
    re.MULTILINE | re.DOTALL | re.VERBOSE,
)
_HEAD_ENDS = re.compile(rb"[;{}]")
_OPENING = (b"if", b"ifdef", b"ifndef")
_BLANKS = bytes(byte if byte == ord("\n") else ord(" ") for byte in range(256))


@dataclass(frozen=True)
class Branches:
    """A file with blanks for its conditions and for all but the first branch of each; offsets and lines stay."""

    source: bytes
    starts: tuple[int, ...]
    ends: tuple[int, ...]

    def has_blanked(self, byte: int) -> bool:
        """Whether the byte belongs to a branch that is blank now."""
        at = bisect_right(self.starts, byte) - 1
        return at >= 0 and byte < self.ends[at]


def is_divided(source: bytes, errors: Iterable[tuple[int, int]]) -> bool:
    """Whether one of the stretches of bytes that are errors holds a condition, or what it began goes on in one."""
    return any(_CONDITION.search(source, first, _end_of_head(source, last)) for first, last in errors)


def _end_of_head(source: bytes, at: int) -> int:
    found = _HEAD_ENDS.search(source, at)
    return len(source) if found is None else found.end()


def first_branches(source: bytes) -> Branches | None:
    """None when there is no condition, or when they do not close. Of `#if 0` the second branch counts as first."""
    parts: list[bytes] = []
    blanked: list[tuple[int, int]] = []
    around: list[tuple[bool, bool]] = []  # (is what is around it read, was a branch of it read)
    is_read, at = True, 0
    for condition in _CONDITION.finditer(source):
        kind, text = condition[1], source[at : condition.start()]
        if not is_read:
            blanked.append((at, condition.start()))
        parts += (text if is_read else text.translate(_BLANKS), condition[0].translate(_BLANKS))
        at = condition.end()
        if kind in _OPENING:
            is_first = is_read and not (kind == b"if" and condition[2].strip() == b"0")
            around.append((is_read, is_first))
            is_read = is_first
        elif not around:
            return None
        elif kind == b"endif":
            is_read = around.pop()[0]
        else:
            outer, was_read = around[-1]
            is_read = outer and not was_read
            around[-1] = (outer, was_read or is_read)
    if around or not parts:
        return None
    parts.append(source[at:])
    return Branches(b"".join(parts), tuple(s for s, _ in blanked), tuple(e for _, e in blanked))

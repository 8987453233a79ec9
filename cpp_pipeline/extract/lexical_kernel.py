"""What each byte of a C++ file belongs to: code, a comment, a literal or a directive.

Belongs here: the one pass that tells them apart. Does not belong here: tokens (`token_kernel.py`), which kernels ask
it (`blanking.py`, `skeleton.py`). Import it inside functions only (`compiled.py`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cpp_pipeline.extract.compiled import compiled

CODE, COMMENT, LITERAL, DIRECTIVE = range(4)
_DELIMITER_BYTES = 18
_HASH, _STAR, _SLASH, _BACKSLASH, _OPEN, _CLOSE, _QUOTATION, _APOSTROPHE, _RAW = b"#*/\\()\"'R"
_NEWLINE, _ZERO, _NINE = b"\n09"
_IN_WORD = np.array([byte >= 128 or chr(byte).isalnum() or chr(byte) == "_" for byte in range(256)])
_SPACE = np.array([chr(byte) in " \t\n\v\f\r" for byte in range(256)])


def kinds(source: bytes) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """One of `CODE`, `COMMENT`, `LITERAL`, `DIRECTIVE` for each byte.

    A quote that its line does not close is code. A directive takes its continued lines, and not its comments; the
    newline behind it is code.
    """
    out = np.zeros(len(source), np.uint8)
    _mark(np.frombuffer(source, np.uint8), _IN_WORD, _SPACE, out)
    return out


@compiled
def _after_comment(source: Any, at: Any) -> Any:
    """First byte behind the comment that begins at `at` (before its line end); `at` when none does."""
    size = len(source)
    if at + 1 >= size or source[at] != _SLASH:
        return at
    if source[at + 1] == _SLASH:
        while at < size and source[at] != _NEWLINE:
            at += 2 if source[at] == _BACKSLASH else 1
    elif source[at + 1] == _STAR:
        at += 3
        while at < size and not (source[at] == _SLASH and source[at - 1] == _STAR):
            at += 1
        at += 1
    return min(at, size)


@compiled
def _after_quote(source: Any, at: Any) -> Any:
    """First byte behind the literal that begins at `at`; `at` when its line does not close it."""
    size, quote, start = len(source), source[at], at
    at += 1
    while at < size and source[at] != _NEWLINE:
        if source[at] == quote:
            return at + 1
        at += 2 if source[at] == _BACKSLASH else 1
    return start


@compiled
def _after_raw(source: Any, at: Any) -> Any:
    """First byte behind `"delimiter(...)delimiter"` that begins at `at`; `at` when none does."""
    size, opening = len(source), at + 1
    while opening < size and opening - at < _DELIMITER_BYTES and source[opening] != _OPEN:
        opening += 1
    if opening >= size or source[opening] != _OPEN:
        return at
    length = opening - at - 1
    end = opening + 1
    while end + length + 1 < size:
        if source[end] == _CLOSE and source[end + length + 1] == _QUOTATION:
            same = 0
            while same < length and source[end + 1 + same] == source[at + 1 + same]:
                same += 1
            if same == length:
                return end + length + 2
        end += 1
    return size  # not closed: looked for once, not at every further opening


@compiled
def _mark(source: Any, in_word: Any, space: Any, out: Any) -> None:
    size, at, first_on_line, in_directive = len(source), 0, True, False
    while at < size:
        start, kind, byte = at, CODE, source[at]
        if byte == _NEWLINE:
            first_on_line, in_directive = True, False
        elif byte == _SLASH and _after_comment(source, at) > at:
            at, kind = _after_comment(source, at), COMMENT
        elif in_directive or (byte == _HASH and first_on_line):
            in_directive, kind = True, DIRECTIVE
            behind = _after_quote(source, at) if byte == _QUOTATION else at
            at = max(behind, at + 1 + (byte == _BACKSLASH))
        elif in_word[byte]:
            while at < size and in_word[source[at]]:
                at += 1
            first_on_line = False
            if at < size and source[at] == _QUOTATION and source[at - 1] == _RAW:
                start, kind = at, LITERAL
                at = _after_raw(source, at)
                at = _after_quote(source, at) if at == start else at
            elif at < size and source[at] == _APOSTROPHE and _ZERO <= source[start] <= _NINE:
                at += 1  # a digit separator
            else:
                continue
        elif byte in (_QUOTATION, _APOSTROPHE):
            at, kind, first_on_line = _after_quote(source, at), LITERAL, False
        elif not space[byte]:
            first_on_line = False
        if at == start:
            at += 1
        elif kind != CODE:
            out[start : min(at, size)] = kind

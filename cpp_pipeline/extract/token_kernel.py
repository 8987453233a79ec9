"""The lexer as machine code over the bytes of many texts.

Belongs here: loops over UTF-8 bytes. What a token is says `lexer.py`; each alternative of its pattern is one branch
of `_token_end`, in the same order. Positions are byte offsets; bytes are valid UTF-8 (Arrow strings are).
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from cpp_pipeline.extract.compiled import compiled, inlined

U8: TypeAlias = NDArray[np.uint8]
U16: TypeAlias = NDArray[np.uint16]
U64: TypeAlias = NDArray[np.uint64]
I64: TypeAlias = NDArray[np.int64]

SPACE, DIGIT, WORD, DECISION, DOUBLED, ASSIGNED, PREFIX, EXPONENT = (1 << bit for bit in range(8))
SINGLE, NAME = 1 << 8, 1 << 9
"""Bits of the character classes: `\\s`, `\\d`, `\\w` of `re`; what a decision may begin with; operators that are
written twice, and before `=`; prefixes of strings of one letter; letters before the sign of an exponent;
characters that are always a token alone; those that begin a name and no string."""
MAX_FENCE = 16

_LF, _CR, _QUOTE, _APOSTROPHE, _BACKSLASH = ord("\n"), ord("\r"), ord('"'), ord("'"), ord("\\")
_OPEN, _CLOSE, _SLASH, _STAR, _DOT, _EIGHT, _U, _R = ord("("), ord(")"), ord("/"), ord("*"), ord("."), 56, 117, 82
_PLUS, _MINUS, _LESS, _EQUAL, _MORE = ord("+"), ord("-"), ord("<"), ord("="), ord(">")


@compiled
def _at(data: U8, i: int, end: int) -> int:
    """The byte at `i`, 0 behind the end."""
    return int(data[i]) if i < end else 0


@compiled
def _code_point(data: U8, i: int) -> tuple[int, int]:
    """Code point and number of bytes of the character at `i`."""
    c = int(data[i])
    if c < 0x80:
        return c, 1
    if c < 0xE0:
        return (c & 0x1F) << 6 | int(data[i + 1]) & 0x3F, 2
    low = (int(data[i + 1]) & 0x3F) << 6 | int(data[i + 2]) & 0x3F
    if c < 0xF0:
        return (c & 0x0F) << 12 | low, 3
    return (c & 0x07) << 18 | low << 6 | int(data[i + 3]) & 0x3F, 4


@compiled
def _width(data: U8, i: int, end: int, classes: U16, kind: int) -> int:
    """Bytes of the character at `i` if it is of that kind, else 0."""
    if i >= end:
        return 0
    code, width = _code_point(data, i)
    return width if classes[code] & kind else 0


@inlined
def _words(data: U8, i: int, end: int, classes: U16) -> int:
    """Behind the `\\w*` at `i`."""
    while i < end:
        if data[i] < 0x80:
            if not classes[data[i]] & WORD:
                break
            i += 1
        else:
            width = _width(data, i, end, classes, WORD)
            if width == 0:
                break
            i += width
    return i


@compiled
def _continuation(data: U8, i: int, end: int, carriage: bool) -> int:
    """Behind the backslash at `i`, blanks and the line end; 0 when something else follows.

    With `carriage` a `\\r` is a blank as any other; without, one may stand before the line end.
    """
    i += 1
    while i < end and (data[i] in (32, 9, 11, 12) or (carriage and data[i] == _CR)):
        i += 1
    if not carriage and _at(data, i, end) == _CR:
        i += 1
    return i + 1 if _at(data, i, end) == _LF else 0


@compiled
def _run(data: U8, i: int, end: int, close: int) -> int:
    """Behind all that a string (until `close`) or a line comment (`close` is the line end) may hold."""
    while i < end:
        c = data[i]
        if c in (close, _LF):
            return i
        if c != _BACKSLASH:
            i += 1
            continue
        behind = _continuation(data, i, end, True)
        if behind == 0:
            if i + 1 >= end:
                return i
            behind = i + 1 + _code_point(data, i + 1)[1]
        i = behind
    return i


@compiled
def _raw(data: U8, i: int, end: int, classes: U16) -> int:
    """Behind the raw string whose quote is at `i`; 0 when it is none. One that is not closed takes all."""
    fence = i + 1
    j, characters = fence, 0
    while j < end and data[j] != _OPEN:
        c = data[j]
        space = _width(data, j, end, classes, SPACE)
        if space or characters == MAX_FENCE or c in (_CLOSE, _BACKSLASH, _QUOTE):
            return 0
        j += _code_point(data, j)[1]
        characters += 1
    if j >= end:
        return 0
    length = j - fence
    for k in range(j + 1, end - length - 1):
        if data[k] == _CLOSE and data[k + 1 + length] == _QUOTE:
            same = True
            for m in range(length):
                same = same and data[k + 1 + m] == data[fence + m]
            if same:
                return k + length + 2
    return end


@compiled
def _number(data: U8, i: int, end: int, classes: U16) -> int:
    """Behind the rest of a number at `i`: digits, letters, dots, separators, signs of exponents."""
    while i < end:
        c = data[i]
        if classes[c] & EXPONENT and _at(data, i + 1, end) in (_PLUS, _MINUS):
            i += 2
            continue
        separator = 1 if c == _APOSTROPHE else 0
        width = _width(data, i + separator, end, classes, WORD)
        if width:
            i += separator + width
        elif c == _DOT:
            i += 1
        else:
            break
    return i


@compiled
def _operator(data: U8, i: int, end: int, classes: U16) -> int:
    """Behind the operator or single character at `i`."""
    a, b, c = int(data[i]), _at(data, i + 1, end), _at(data, i + 2, end)
    if a == _LESS and ((b == _LESS and c == _EQUAL) or (b == _EQUAL and c == _MORE)):
        return i + 3
    if (a == _MINUS and b == _MORE and c == _STAR) or (a == _DOT and b == _DOT and c == _DOT):
        return i + 3
    doubled, assigned = a == b and classes[a] & DOUBLED, b == _EQUAL and classes[a] & ASSIGNED
    if doubled or assigned or (a == _MINUS and b == _MORE):
        return i + 2
    return i + _code_point(data, i)[1]


@inlined
def _skipped(data: U8, i: int, end: int, classes: U16) -> int:
    """Behind the blank, continuation or comment at `i`; `i` itself when there is none."""
    c = data[i]
    if c == _BACKSLASH:
        return max(i, _continuation(data, i, end, False))
    if c == _SLASH:
        after = _at(data, i + 1, end)
        if after == _SLASH:
            return _run(data, i + 2, end, _LF)
        if after == _STAR:
            for k in range(i + 2, end - 1):
                if data[k] == _STAR and data[k + 1] == _SLASH:
                    return k + 2
            return end
        return i
    return i + _width(data, i, end, classes, SPACE)


@inlined
def _token_end(data: U8, i: int, end: int, classes: U16, unclosed: I64) -> int:
    """Behind the token at `i`.

    `unclosed` is, for either quote, until where one is known not to be closed: what stands between that place and a
    quote that was not closed holds only escaped ones, which meet the same end. Without it `"\\"\\"\\"...` is quadratic.
    """
    c = int(data[i])
    mark = i
    if c == _U and _at(data, i + 1, end) == _EIGHT:
        mark = i + 2
    elif classes[c] & PREFIX:
        mark = i + 1
    m = _at(data, mark, end)
    if m == _R and _at(data, mark + 1, end) == _QUOTE:
        behind = _raw(data, mark + 1, end, classes)
        if behind:
            return behind
    if m in (_QUOTE, _APOSTROPHE):
        kind = 0 if m == _QUOTE else 1
        if mark >= unclosed[kind]:
            behind = _run(data, mark + 1, end, m)
            if behind >= end or data[behind] != m:
                unclosed[kind] = behind
            elif kind == 0 or behind > mark + 1:
                return behind + 1
    if c >= 0x80 or classes[c] & WORD:
        width = _width(data, i, end, classes, WORD)
        if width and not _width(data, i, end, classes, DIGIT):
            return _words(data, i + width, end, classes)
    number = i + 1 if c == _DOT else i
    width = _width(data, number, end, classes, DIGIT)
    if width:
        return _number(data, number + width, end, classes)
    return _operator(data, i, end, classes)


@inlined
def hash_bytes(data: U8, i: int, end: int) -> np.uint64:
    """Hash of the bytes, eight at a time, spread by splitmix64's finaliser (Steele, Lea, Flood 2014)."""
    x = np.uint64(end - i)
    while i < end:
        word = np.uint64(0)
        for k in range(i, min(i + 8, end)):
            word = word << np.uint64(8) | np.uint64(data[k])
        x = (x ^ word) * np.uint64(0x9E3779B97F4A7C15)
        x ^= x >> np.uint64(32)
        i += 8
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.uint64(x ^ (x >> np.uint64(31)))


@compiled
def lex(
    data: U8, offsets: I64, classes: U16, decisions: U64,
    hashes: U64, ends: I64, joined: U8, joined_ends: I64, n_decisions: I64,
) -> None:  # fmt: skip
    """Fill the arrays behind `decisions` from the texts `data[offsets[i]:offsets[i + 1]]`.

    Parameters
    ----------
    hashes
        One a token; as many as there are bytes suffice.
    ends
        Number of tokens up to the end of each text.
    joined, joined_ends
        Tokens of each text with a 0 byte between them; twice the bytes suffice. Left out when `joined` is empty.
    n_decisions
        Tokens of each text whose hash is one of `decisions`.
    """
    unclosed = np.zeros(2, np.int64)
    n = 0
    written = 0
    for row in range(len(offsets) - 1):
        i, end = offsets[row], offsets[row + 1]
        unclosed[:] = 0
        first = True
        n_decisions[row] = 0
        while i < end:
            c = data[i]
            kind = classes[c] if c < 0x80 else 0
            if kind & SPACE:
                i += 1
                continue
            if c in (_SLASH, _BACKSLASH) or c >= 0x80:
                behind = _skipped(data, i, end, classes)
                if behind > i:
                    i = behind
                    continue
            if kind & SINGLE:
                behind = i + 1
            elif kind & NAME:
                behind = _words(data, i + 1, end, classes)
            else:
                behind = _token_end(data, i, end, classes, unclosed)
            token = hash_bytes(data, i, behind)
            hashes[n] = token
            n += 1
            if kind & DECISION:
                for k in range(len(decisions)):
                    n_decisions[row] += token == decisions[k]
            if len(joined):
                if not first:
                    joined[written] = 0
                    written += 1
                for k in range(i, behind):
                    joined[written] = data[k]
                    written += 1
                first = False
            i = behind
        ends[row] = n
        joined_ends[row] = written

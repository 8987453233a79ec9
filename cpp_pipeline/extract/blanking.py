"""Macros overwritten before parsing.

Belongs here: the scan that overwrites them. Does not belong here: which macros (`macros.py`).

Comments, literals and directives are left alone. Offsets and lines stay. A module of
kernels: import it inside functions only (`compiled.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np

from cpp_pipeline.extract.compiled import compiled, inlined
from cpp_pipeline.extract.lexical_kernel import CODE, COMMENT, LITERAL

_MAX_ARGUMENTS = 4_096
_MIN_CAPITALS = 3
_FNV_START, _FNV_FACTOR = 0xCBF29CE484222325, 0x100000001B3
_PLAIN, _WITH_ARGUMENTS, _AS_STATEMENT, _INT, _PUBLIC, _EXTERN = 1, 2, 4, 8, 16, 32
_FORMS = {
    "": _PLAIN,
    "(": _WITH_ARGUMENTS,
    "(;": _AS_STATEMENT,
    "(=int": _WITH_ARGUMENTS | _INT,
    "=public": _PLAIN | _PUBLIC,
}
_TEMPLATE = np.frombuffer(b"template", np.uint8)
_WORDS = np.zeros((2, 6), np.uint8)
_WORDS[0, :3] = list(b"int")
_WORDS[1] = list(b"public")
_IN_WORD, _CAPITAL, _SPACE, _QUOTE, _ENDS_STATEMENT, _STARTS_STATEMENT = 1, 2, 4, 8, 16, 32
_SKETCH_MASK = 0xFFF
_TAB, _NEWLINE, _BLANK, _OPEN, _CLOSE, _SEMICOLON = b"\t\n ();"
_Table = tuple[np.ndarray[Any, Any], ...]


def _roles() -> np.ndarray[Any, Any]:
    role = np.zeros(256, np.uint8)
    for byte in range(256):
        text = chr(byte)
        role[byte] |= _IN_WORD * (byte >= 128 or text.isalnum() or text == "_")
        role[byte] |= _CAPITAL * (byte < 128 and (text.isupper() or text.isdigit() or text == "_"))
        role[byte] |= _SPACE * (text in " \t\n\v\f\r") | _QUOTE * (text in "\"'")
        role[byte] |= _ENDS_STATEMENT * (text in ";{}") | _STARTS_STATEMENT * (text in "#[~}")
    return role


@lru_cache(maxsize=64)
def _table(names: tuple[str, ...]) -> _Table:
    """(roles of bytes; which sketches of words there are; by slot of an open hash table the form, start and end of a
    name; the names as bytes)."""
    forms: dict[bytes, int] = {b"extern": _EXTERN}
    for name in names:
        form_at = min((at for at in (name.find("("), name.find("=")) if at >= 0), default=len(name))
        word = name[:form_at].encode()
        forms[word] = forms.get(word, 0) | _FORMS[name[form_at:]]
    size = 1 << (2 * len(forms)).bit_length()
    form, first, last = np.zeros(size, np.uint8), np.zeros(size, np.int64), np.zeros(size, np.int64)
    end = 0
    for word, how in forms.items():
        slot = _hash(word) & (size - 1)
        while form[slot]:
            slot = (slot + 1) & (size - 1)
        form[slot], first[slot], last[slot] = how, end, end + len(word)
        end += len(word)
    sketches = np.zeros(_SKETCH_MASK + 1, np.bool_)
    sketches[[_sketch(np.frombuffer(word, np.uint8), 0, len(word)) for word in forms]] = True
    return _roles(), sketches, form, first, last, np.frombuffer(b"".join(forms), np.uint8)


def _hash(word: bytes) -> int:
    value = _FNV_START
    for byte in word:
        value = ((value ^ byte) * _FNV_FACTOR) & 0xFFFFFFFFFFFFFFFF
    return value


@inlined
def _sketch(source: Any, start: Any, end: Any) -> Any:
    """A number of few bits that most words do not share with a name of the table; costs less than a hash."""
    return (source[start] ^ (source[end - 1] << 3) ^ ((end - start) << 7)) & _SKETCH_MASK


@compiled
def _find(source: Any, start: Any, end: Any, table: Any) -> Any:
    """Form of the word `source[start:end]`; 0 when it is not in the table."""
    _role, _sketches, form, first, last, names = table
    value = np.uint64(_FNV_START)
    for at in range(start, end):
        value = (value ^ np.uint64(source[at])) * np.uint64(_FNV_FACTOR)
    mask = len(form) - 1
    slot = np.int64(value & np.uint64(mask))
    while form[slot]:
        if last[slot] - first[slot] == end - start:
            at = 0
            while at < end - start and names[first[slot] + at] == source[start + at]:
                at += 1
            if at == end - start:
                return form[slot]
        slot = (slot + 1) & mask
    return 0


@compiled
def _after_spaces(source: Any, role: Any, kinds: Any, at: Any) -> Any:
    """First byte that is neither space nor comment."""
    while at < len(source) and (kinds[at] == COMMENT or role[source[at]] & _SPACE):
        at += 1
    return at


@compiled
def _after_arguments(source: Any, role: Any, kinds: Any, at: Any) -> Any:
    """First byte behind the `(...)` that begins after spaces at `at`; -1 when there is none."""
    at = _after_spaces(source, role, kinds, at)
    if at >= len(source) or source[at] != _OPEN:
        return -1
    depth = 0
    for behind in range(at + 1, min(len(source), at + _MAX_ARGUMENTS) + 1):
        byte = source[behind - 1]
        if kinds[behind - 1] == CODE:
            depth += (byte == _OPEN) - (byte == _CLOSE)
            if depth == 0:
                return behind
    return -1


@compiled
def _is_statement(source: Any, role: Any, kinds: Any, at: Any, may_be_closed: Any) -> Any:
    """Whether a call that ends at `at` is a statement: its line ends there and no body or operator follows."""
    while at < len(source) and (source[at] == _BLANK or source[at] == _TAB):
        at += 1
    if at >= len(source) or source[at] == _SEMICOLON:
        return may_be_closed
    if source[at] != _NEWLINE and kinds[at] != COMMENT:
        return False
    at = _after_spaces(source, role, kinds, at)
    if at >= len(source):
        return True
    return role[source[at]] & (_IN_WORD | _STARTS_STATEMENT) != 0


@compiled
def _is_template(source: Any, role: Any, kinds: Any, at: Any) -> Any:
    """Whether `template` comes next: the grammar does not know `extern template`."""
    at = _after_spaces(source, role, kinds, at)
    if at + len(_TEMPLATE) > len(source):
        return False
    same = 0
    while same < len(_TEMPLATE) and source[at + same] == _TEMPLATE[same]:
        same += 1
    return same == len(_TEMPLATE)


@compiled
def _is_capitals(source: Any, role: Any, start: Any, end: Any) -> Any:
    for at in range(start, end):
        if not role[source[at]] & _CAPITAL:
            return False
    return end - start >= _MIN_CAPITALS


@compiled
def _end_of_macro(source: Any, kinds: Any, start: Any, at: Any, may_begin: Any, table: Any) -> Any:
    """(end of what vanishes with the word `source[start:at]`, -1 when nothing does; its form)."""
    role = table[0]
    how = _find(source, start, at, table)
    end = _after_arguments(source, role, kinds, at) if how & _WITH_ARGUMENTS else -1
    if end < 0 and (how & _PLAIN or (how & _EXTERN and _is_template(source, role, kinds, at))):
        end = at
    if end < 0 and may_begin and at < len(source) and source[at] == _OPEN:
        is_known = (how & _AS_STATEMENT) != 0
        if is_known or _is_capitals(source, role, start, at):
            end = _after_arguments(source, role, kinds, at)
            if end >= 0 and not _is_statement(source, role, kinds, end, is_known):
                end = -1
    return end, how


@compiled
def _overwrite(source: Any, kinds: Any, table: Any, out: Any) -> Any:
    """Copy `source` to `out` with macros overwritten, when there are any; how many there are."""
    role, sketches = table[0], table[1]
    size, at, count, first_on_line, previous = len(source), 0, 0, True, _SEMICOLON
    while at < size:
        byte = source[at]
        if kinds[at] != CODE or not role[byte] & _IN_WORD:
            if kinds[at] == LITERAL or (kinds[at] == CODE and not role[byte] & _SPACE):
                previous, first_on_line = byte, False
            first_on_line |= kinds[at] == CODE and byte == _NEWLINE
            at += 1
            continue
        start = at
        may_begin = first_on_line and role[previous] & _ENDS_STATEMENT != 0
        while at < size and role[source[at]] & _IN_WORD and kinds[at] == CODE:
            at += 1
        previous, first_on_line = source[at - 1], False
        if at < size and role[source[at]] & _QUOTE:
            continue  # the prefix of a literal, or digits in front of a separator
        is_call = may_begin and at < size and source[at] == _OPEN
        if not is_call and not sketches[_sketch(source, start, at)]:
            continue
        end, how = _end_of_macro(source, kinds, start, at, may_begin, table)
        if end < 0:
            continue
        if count == 0:
            out[:] = source
        count += 1
        for i in range(start, end):
            if out[i] != _NEWLINE:
                out[i] = _BLANK
        if how & (_INT | _PUBLIC):
            word = _WORDS[1 if how & _PUBLIC else 0]
            for i in range(min(len(word), end - start)):
                if word[i]:
                    out[start + i] = word[i]
        elif may_begin:
            previous, first_on_line = _SEMICOLON, True
        at = end
    return count


def blank(source: bytes, kinds: np.ndarray[Any, Any], names: Iterable[str]) -> bytes:
    """Overwrite the macros of `MacroDefinitions.transparent`, and calls in capitals that are statements without `;`.

    `kinds` as `lexical_kernel.kinds` tells them of `source`. Returns `source` itself where there is no macro.
    """
    out = np.empty(len(source), np.uint8)
    found = _overwrite(np.frombuffer(source, np.uint8), kinds, _table(tuple(names)), out)
    return out.tobytes() if found else source

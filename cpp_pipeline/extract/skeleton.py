"""Bodies of functions left out of parsing: most of the parser's work, and nothing is read there.

Belongs here: which braces belong together, and which of them hold the body of a function. Does not belong here: macros
(`blanking.py`), whether a body holds errors (`functions.py`).

Only the text since the last `;`, `{` or `}`, the *head*, decides. Where it leaves a doubt the body stays, which costs
time only; so does leaving out a block inside a body that stayed. A body becomes `{;}`, for the grammar takes `f() {};`
for a field with an initialiser. Offsets and lines stay: the parser is told the ranges to read. A module of kernels:
import it inside functions only (`compiled.py`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from tree_sitter import Point, Range

from cpp_pipeline.extract.compiled import compiled
from cpp_pipeline.extract.lexical_kernel import CODE, DIRECTIVE

_MAX_DEPTH = 1_000
_MIN_CUT = 32
_MAX_CUTS = 1_000
"""The parser looks for the range of each token from the first on."""
_NEWLINE, _TAB, _BLANK, _BRACE, _END, _OPEN, _CLOSE, _BRACKET, _BRACKET_END, _LESS, _GREATER = b"\n\t {}()[]<>"
_SEMICOLON, _COLON, _EQUALS, _COMMA, _MINUS, _HASH = b";:=,-#"
_E, _F, _I, _L, _N = b"efiln"
_BEFORE_EQUALS = np.zeros(256, np.bool_)
_BEFORE_EQUALS[list(b"=!<>+-*/%&|^")] = True
_IN_WORD = np.array([byte >= 128 or chr(byte).isalnum() or chr(byte) == "_" for byte in range(256)])
_CAPITAL = np.array([chr(byte).isupper() or chr(byte).isdigit() or chr(byte) == "_" for byte in range(256)])

_OTHER, _SCOPE, _TAIL, _OPERATOR, _TEMPLATE, _ASIDE = range(6)
_KINDS_OF_WORDS = {
    _SCOPE: b"class struct union enum namespace requires concept",
    _TAIL: b"const volatile noexcept override final mutable try throw",
    _OPERATOR: b"operator",
    _TEMPLATE: b"template",
    _ASIDE: b"alignas decltype explicit",
}
_WORDS = [(word, kind) for kind, words in _KINDS_OF_WORDS.items() for word in words.split()]
_TABLE = np.zeros((len(_WORDS), 12), np.uint8)
for _row, (_word, _kind) in enumerate(_WORDS):
    _TABLE[_row, 0], _TABLE[_row, 1] = len(_word), _kind
    _TABLE[_row, 2 : 2 + len(_word)] = list(_word)


@compiled
def _kind_of(source: Any, start: Any, end: Any, table: Any) -> Any:
    size, first = end - start, source[start]
    for row in range(len(table)):
        if table[row, 0] == size and table[row, 2] == first:
            same = 1
            while same < size and table[row, 2 + same] == source[start + same]:
                same += 1
            if same == size:
                return table[row, 1]
    return _OTHER


@compiled
def _condition(source: Any, at: Any) -> Any:
    """1 for `#if`, `#ifdef` and `#ifndef`, 2 for `#el...`, 3 for `#endif`, 0 for other directives."""
    size = len(source)
    at += 1
    while at < size and (source[at] == _BLANK or source[at] == _TAB):
        at += 1
    if at + 1 >= size:
        return 0
    if source[at] == _I and source[at + 1] == _F:
        return 1
    if source[at] != _E:
        return 0
    return 2 if source[at + 1] == _L else 3 if source[at + 1] == _N else 0


@compiled
def _partners(source: Any, kinds: Any, partner: Any) -> None:
    """Give each `{` the place of its `}`; 0 where there is none for sure.

    Of a condition the first branch counts; what a branch opens and does not close, or closes and did not open, is
    left without a partner.
    """
    braces = np.empty(_MAX_DEPTH + 1, np.int64)
    height = floor = extra = 0
    # of the conditions around: floor, extra, the height behind the first branch (-1 inside it), its extra
    around = np.empty((_MAX_DEPTH + 1, 4), np.int64)
    depth = 0
    for at in range(len(source)):
        byte = source[at]
        if kinds[at] == CODE:
            if byte == _BRACE:
                if height == _MAX_DEPTH:
                    return
                braces[height] = at
                height += 1
            elif byte == _END:
                if height > floor:
                    height -= 1
                    if braces[height] >= 0:
                        partner[braces[height]] = at
                elif height > extra:
                    extra += 1
                    braces[height - extra] = -1
        elif byte == _HASH and kinds[at] == DIRECTIVE and (at == 0 or kinds[at - 1] != DIRECTIVE):
            what = _condition(source, at)
            if what == 1:
                if depth == _MAX_DEPTH:
                    return
                around[depth, 0], around[depth, 1], around[depth, 2], around[depth, 3] = floor, extra, -1, 0
                depth += 1
                floor, extra = height, 0
            elif what and depth:
                for open_at in range(floor, height):
                    braces[open_at] = -1
                if around[depth - 1, 2] < 0:
                    around[depth - 1, 2], around[depth - 1, 3] = height, extra
                height, extra = around[depth - 1, 2], 0
                if what == 2:
                    floor = height
                else:
                    depth -= 1
                    height = max(height - around[depth, 3], 0)
                    floor, extra = min(around[depth, 0], height), around[depth, 1]


@compiled
def _after_group(source: Any, kinds: Any, at: Any, opening: Any, closing: Any) -> Any:
    """First byte behind the group that begins at `at`; `at` where it is not closed before a `;` or a stray brace."""
    depth = braces = 0
    for behind in range(at + 1, len(source) + 1):
        byte = source[behind - 1]
        if kinds[behind - 1] != CODE:
            continue
        depth += (byte == opening) - (byte == closing)
        braces += (byte == _BRACE) - (byte == _END)
        if depth == 0:
            return behind
        if braces < 0 or (byte == _SEMICOLON and braces == 0):
            return at
    return at


@compiled
def _after_angles(source: Any, kinds: Any, at: Any) -> Any:
    """First byte behind the `<...>` of a template that begins after spaces at `at`; `at` where there is none."""
    start, depth = at, 0
    while at < len(source):
        byte = source[at]
        if kinds[at] != CODE or (depth == 0 and byte in (_BLANK, _NEWLINE, _TAB)):
            at += 1
            continue
        if byte == _OPEN:
            behind = _after_group(source, kinds, at, _OPEN, _CLOSE)
            if behind == at:
                return start
            at = behind
            continue
        if byte in (_SEMICOLON, _BRACE, _END) or (depth == 0 and byte != _LESS):
            return start
        depth += (byte == _LESS) - (byte == _GREATER and source[at - 1] != _MINUS)
        at += 1
        if depth == 0:
            return at
    return start


@compiled
def _after_operator(source: Any, kinds: Any, at: Any) -> Any:
    """Where the parameters of an operator begin whose name begins at `at`."""
    is_call = True
    while at < len(source) and source[at] != _SEMICOLON and source[at] != _BRACE:
        if kinds[at] == CODE and source[at] == _OPEN:
            return _after_group(source, kinds, at, _OPEN, _CLOSE) if is_call else at
        is_call &= source[at] <= _BLANK
        at += 1
    return at


@compiled
def _cuts(source: Any, kinds: Any, tables: Any, partner: Any, found: Any) -> Any:
    """Put the places of the braces of what is left out into `found`, and whether it is a body; how many there are."""
    in_word, capital, before_equals, words = tables
    size, at, count, before = len(source), 0, 0, _SEMICOLON
    # Of the head: is it of a scope, is something assigned, has a list of parameters ended, do initialisers of members
    # or a type follow it. No more is asked of it.
    is_scope = is_value = is_call = has_members = has_arrow = is_aside = False
    while at < size:
        byte = source[at]
        if kinds[at] != CODE or byte <= _BLANK:
            at += 1
            continue
        start, previous, at, before = at, before, at + 1, byte
        may_end = is_call and not (has_members or has_arrow)
        if in_word[byte]:
            while at < size and in_word[source[at]] and kinds[at] == CODE:
                at += 1
            kind = _kind_of(source, start, at, words)
            is_aside = kind == _ASIDE
            if kind == _SCOPE:
                is_scope = True
            elif kind == _TEMPLATE:
                at = _after_angles(source, kinds, at)
            elif kind == _OPERATOR:
                at = _after_operator(source, kinds, at)
            elif kind == _OTHER and may_end:
                for i in range(start, at):
                    is_call &= capital[source[i]]  # a macro may stand behind parameters, a name may not
        elif byte == _OPEN:
            at, before = max(at, _after_group(source, kinds, start, _OPEN, _CLOSE)), _CLOSE
            is_call |= not is_aside and (in_word[previous] or previous == _GREATER)
        elif byte == _BRACKET:
            at, before = max(at, _after_group(source, kinds, start, _BRACKET, _BRACKET_END)), _BRACKET_END
        elif byte == _COLON and at < size and source[at] == _COLON:
            at += 1
        elif byte == _COLON:
            has_members |= is_call
        elif byte == _COMMA:
            is_call &= not may_end
        elif byte == _GREATER:
            has_arrow |= is_call and source[start - 1] == _MINUS
        elif byte == _EQUALS:
            is_value |= not before_equals[source[start - 1]] and not (at < size and source[at] == _EQUALS)
        elif byte == _BRACE and partner[start] and has_members and (in_word[previous] or previous == _GREATER):
            at, before = partner[start] + 1, _END  # `member{value}`
        elif byte in (_BRACE, _END, _SEMICOLON):
            is_list = previous == _EQUALS
            is_body = is_call and not is_value
            if byte == _BRACE and partner[start] and not is_scope and (is_list or is_body):
                found[count, 0], found[count, 1], found[count, 2] = start, partner[start], not is_list
                count += 1
                at = partner[start] + 1
            before = _SEMICOLON
            is_scope = is_value = is_call = has_members = has_arrow = is_aside = False
    return count


@compiled
def _points(source: Any, bounds: Any, points: Any) -> None:
    """Row and column of each of the rising places `bounds`."""
    at = row = line = 0
    for i in range(len(bounds)):
        while at < bounds[i]:
            if source[at] == _NEWLINE:
                row, line = row + 1, at + 1
            at += 1
        points[i, 0], points[i, 1] = row, at - line


def skeleton(source: bytes, kinds: np.ndarray[Any, Any]) -> tuple[bytes, list[Range]]:
    """What is to be parsed: a text, and the ranges of it without bodies of functions and lists of values.

    `kinds` as `lexical_kernel.kinds` tells them of `source`, or of the text before its macros were overwritten. No
    ranges are given where all is to be parsed.
    """
    read = np.frombuffer(source, np.uint8)
    partner, found = np.zeros(len(source), np.int32), np.empty((source.count(b"{"), 3), np.int32)
    _partners(read, kinds, partner)
    found = found[: _cuts(read, kinds, (_IN_WORD, _CAPITAL, _BEFORE_EQUALS, _TABLE), partner, found)]
    sizes = found[:, 1] - found[:, 0]
    least = max(_MIN_CUT, np.sort(sizes)[-_MAX_CUTS]) if len(sizes) > _MAX_CUTS else _MIN_CUT
    found = found[sizes > least]
    if not len(found):
        return source, []
    text = bytearray(source)
    for opening in found[found[:, 2] == 1, 0].tolist():
        text[opening + 1] = _SEMICOLON
    bounds = np.concatenate(([0], np.stack((found[:, 0] + 1 + found[:, 2], found[:, 1]), 1).ravel(), [len(source)]))
    points = np.empty((len(bounds), 2), np.int64)
    _points(read, bounds, points)
    places, at = [Point(*point) for point in points.tolist()], bounds.tolist()
    ends = zip(places[::2], places[1::2], at[::2], at[1::2], strict=True)
    return bytes(text), [Range(*each) for each in ends]

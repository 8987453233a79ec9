"""How far the names reach that a function declares.

Belongs here: declarations and scopes in a token sequence, read narrowly: what is not certain to be a declaration
declares nothing, and a scope ends no later than in C++. Not here: what a type is (`declared`), and which names may be
used (`plain`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cpp_pipeline.sandbox.cpp.declared import CLOSE, OPEN, Token, skip_references, text_at, type_end
from cpp_pipeline.sandbox.cpp.names import HEADED, words

_AFTER_NAME = words("= ; , ( { [ : )")
_AFTER_FURTHER = words("= ; , ( { [")


@dataclass
class _Level:
    """What is inside of the bracket `opened`: names declared there reach to `end`, or only to `single_end` before it,
    where a statement without braces ends. `goes_on` says that a comma here goes on with a declaration."""

    opened: int
    end: int
    single_end: int = 0
    goes_on: bool = False


def scopes(
    found: Sequence[Token], partner: Sequence[int], parameters: int, hidden: frozenset[str] = frozenset()
) -> dict[int, int]:
    """Index of each name that stands behind a type where it is declared, and the index at which its scope ends.

    Names are parameters, variables, loop variables and structured bindings. `found` is one function; its parameters
    open at index `parameters`. What is in `hidden` is a type only behind `std::`. Time is linear in the number of
    tokens.
    """
    ends = _statement_ends(found, partner)
    declared: dict[int, int] = {}
    levels = [_Level(-1, len(found))]
    at = 0
    while at < len(found):
        level = levels[-1]
        if _is_substatement(found, partner, at):
            level.single_end = ends[at]
        scope_end = level.single_end if at < level.single_end else level.end
        end = at if text_at(found, at - 1) in (".", "->", "::") else type_end(found, at, hidden)
        if end > at:
            name_at = skip_references(found, end)
            names = [name_at] if _declares(found, name_at, _AFTER_NAME) else _binding(found, end, name_at)
            declared.update(dict.fromkeys(names, scope_end))
            # a comma behind a parameter is followed by a type, which must not be taken for a further name
            in_list = text_at(found, level.opened) == "{" or _is_headed(found, level.opened)
            level.goes_on = in_list and names == [name_at]
            at = end
            continue
        text = found[at][1]
        if text in OPEN:
            levels.append(_Level(at, _scope_end(found, partner, ends, at, parameters)))
        elif text in CLOSE:
            levels.pop()
        elif text in (";", "<"):  # behind a bare `<` a comma may stand between template arguments
            level.goes_on = False
        elif text == "," and level.goes_on:
            name_at = skip_references(found, at + 1)
            if _declares(found, name_at, _AFTER_FURTHER):
                declared[name_at] = scope_end
        at += 1
    return declared


def _declares(found: Sequence[Token], at: int, after: frozenset[str]) -> bool:
    return at < len(found) and found[at][0] == "name" and text_at(found, at + 1) in after


def _binding(found: Sequence[Token], end: int, at: int) -> list[int]:
    """Indices of the names of `auto [a, b]`; none where it is not of this form."""
    names: list[int] = []
    if "auto" not in (text_at(found, end - 1), text_at(found, end - 2)) or text_at(found, at) != "[":
        return names
    while at + 1 < len(found) and found[at + 1][0] == "name" and text_at(found, at + 2) in (",", "]"):
        names.append(at + 1)
        at += 2
        if found[at][1] == "]":
            return names
    return []


def _is_substatement(found: Sequence[Token], partner: Sequence[int], at: int) -> bool:
    """Whether a statement begins that is a part of another one."""
    before = text_at(found, at - 1)
    return before in ("else", "do") or (before == ")" and _is_headed(found, partner[at - 1]))


def _is_headed(found: Sequence[Token], opened: int) -> bool:
    return text_at(found, opened) == "(" and text_at(found, opened - 1) in HEADED


def _scope_end(
    found: Sequence[Token], partner: Sequence[int], ends: Sequence[int], opened: int, parameters: int
) -> int:
    """Where the scope of what is declared in the bracket `opened` ends."""
    if opened == parameters:
        return len(found)
    if _is_headed(found, opened):
        return ends[opened - 1]
    if found[opened][1] == "(" and text_at(found, opened - 1) == "]":  # parameters of a lambda
        body = partner[opened] + 1
        if text_at(found, body) == "->":
            body = skip_references(found, type_end(found, body + 1))
        if text_at(found, body) == "{":
            return partner[body]
    return partner[opened]


def _statement_ends(found: Sequence[Token], partner: Sequence[int]) -> list[int]:
    """For every index the one behind the statement that begins there."""
    size = len(found)
    ends, runs = [size] * (size + 1), [size] * (size + 1)  # runs: behind the next semicolon outside of brackets
    for at in reversed(range(size)):
        text = found[at][1]
        if text in OPEN:
            runs[at] = runs[partner[at] + 1]
        else:
            runs[at] = at if text in CLOSE else at + 1 if text == ";" else runs[at + 1]
        if text == "{":
            ends[at] = partner[at] + 1
        elif text in HEADED and text_at(found, at + 1) == "(":
            ends[at] = ends[partner[at + 1] + 1]
            if text == "if" and text_at(found, ends[at]) == "else":
                ends[at] = ends[ends[at] + 1] if ends[at] + 1 < size else size
        else:  # of statements with several parts (do, try, labels) only the first is certain
            ends[at] = at if text in ("do", "try", "case", "default", "else") else runs[at]
    return ends

"""Which names a function declares and how far they reach, and where a type of the standard library is qualified.

Belongs here: types, declarations and scopes in a token sequence, read narrowly. What is not certain to be a declaration
declares nothing. Not here: which names may be used (`plain`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cpp_pipeline.sandbox.names import BUILTIN, GLOBAL, HEADED, SIMPLE, TEMPLATES, words

Token = tuple[str, str]
OPEN, CLOSE = ("(", "[", "{"), (")", "]", "}")
_MEMBERS = words("iterator const_iterator reverse_iterator size_type value_type")
_LIMITS = frozenset(("max", "min", "lowest", "infinity", "epsilon"))
_AFTER_NAME = words("= ; , ( { [ : )")
_AFTER_FURTHER = words("= ; , ( { [")
_MAX_NESTING = 12


@dataclass
class _Level:
    """What is inside of the bracket `opened`: names declared there reach to `end`, or only to `single_end` before it,
    where a statement without braces ends. `goes_on` says that a comma here goes on with a declaration."""

    opened: int
    end: int
    single_end: int = 0
    goes_on: bool = False


def partners(found: Sequence[Token]) -> list[int] | None:
    """For every bracket the index of the one that it belongs to; None where they do not match."""
    partner = [-1] * len(found)
    stack: list[int] = []
    for at, (_, text) in enumerate(found):
        if text in OPEN:
            stack.append(at)
        elif text in CLOSE:
            if not stack or OPEN.index(found[stack[-1]][1]) != CLOSE.index(text):
                return None
            partner[at] = stack.pop()
            partner[partner[at]] = at
    return None if stack else partner


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


def type_end(found: Sequence[Token], at: int, hidden: frozenset[str] = frozenset(), nesting: int = 0) -> int:
    """Index behind the type that begins at `at`; `at` itself where none begins."""
    end = at + (text_at(found, at) == "const")
    if text_at(found, end) in BUILTIN:
        while text_at(found, end) in BUILTIN:
            end += 1
    elif text_at(found, end) == "auto":
        end += 1
    else:
        standard = text_at(found, end) == "std" and text_at(found, end + 1) == "::"
        end += 2 if standard else 0
        name = text_at(found, end)
        end += 1
        if name in hidden and not standard:
            return at
        if name in TEMPLATES and text_at(found, end) == "<":
            end = _arguments_end(found, end, hidden, nesting)
            if end == 0:
                return at
        elif name not in SIMPLE | TEMPLATES:
            return at
        if text_at(found, end) == "::" and text_at(found, end + 1) in _MEMBERS:
            end += 2
    return end + (text_at(found, end) == "const")


def qualified(found: Sequence[Token], hidden: frozenset[str] = frozenset()) -> set[int]:
    """Indices of each `::` that stands in `std::x`, `string::npos`, `std::x<types>::member` or `::tolower`."""
    inside = set()
    for at in range(len(found) - 2):
        if text_at(found, at - 1) in (".", "->", "::"):
            continue
        if found[at][1] == "::" and found[at + 1][1] in GLOBAL and text_at(found, at - 1) in (",", "("):
            inside.add(at)
        name_at = at
        if found[at][1] == "std" and found[at + 1][1] == "::":
            inside.add(at + 1)
            name_at = at + 2
        name, end = found[name_at][1], name_at + 1
        if name in hidden and name_at == at:
            continue
        if name in TEMPLATES and text_at(found, end) == "<":
            end = _arguments_end(found, end, hidden, 0)
        members = {"npos"} | _MEMBERS if name == "string" else _LIMITS if name == "numeric_limits" else _MEMBERS
        if name in SIMPLE | TEMPLATES and end and text_at(found, end) == "::" and text_at(found, end + 1) in members:
            inside.add(end)
    return inside


def parameter_names(head: Sequence[Token], opened: int) -> list[int] | None:
    """Indices of the names in the parameters that open at `opened`; None where they do not end the head, or where one
    of them is not just a type with a name."""
    names: list[int] = []
    at = opened + 1
    if text_at(head, opened) != "(":
        return None
    while text_at(head, at) != ")" or at == opened + 1:
        if text_at(head, at) == ")":
            break
        end = skip_references(head, type_end(head, at))
        if end == at or end >= len(head):
            return None
        if head[end][0] == "name":
            names.append(end)
            end += 1
        if text_at(head, end) not in (",", ")") or (text_at(head, end) == "," and text_at(head, end + 1) == ")"):
            return None
        at = end + (text_at(head, end) == ",")
    return names if at == len(head) - 1 else None


def shape(head: Sequence[Token], name: str) -> list[str]:
    """A head without `std::` and without the names of its parameters, which do not matter to who calls it."""
    opened = next((at for at, (_, text) in enumerate(head) if text == "(" and text_at(head, at - 1) == name), 0)
    names = parameter_names(head, opened) or []
    texts = [text for at, (_, text) in enumerate(head) if at not in names]
    return [
        text
        for at, text in enumerate(texts)
        if [text, *texts[at + 1 : at + 2]] != ["std", "::"] and texts[max(at - 1, 0) : at + 1] != ["std", "::"]
    ]


def text_at(found: Sequence[Token], at: int) -> str:
    """Text of a token; empty outside of the sequence."""
    return found[at][1] if 0 <= at < len(found) else ""


def _arguments_end(found: Sequence[Token], at: int, hidden: frozenset[str], nesting: int) -> int:
    """Index behind the `>` that closes template arguments opened at `at`; 0 where they are not only types."""
    if nesting == _MAX_NESTING:
        return 0
    end = at + 1
    while text_at(found, end) != ">":
        behind = type_end(found, end, hidden, nesting + 1)
        if behind == end and end < len(found) and found[end][0] == "number":
            behind += 1
        elif behind > end:
            behind = skip_references(found, behind)
            if text_at(found, behind) == "(":  # what a std::function is called with
                behind = _parameter_types_end(found, behind, hidden, nesting)
        if behind in (0, end) or text_at(found, behind) not in (",", ">"):
            return 0
        end = behind + (text_at(found, behind) == ",")
    return end + 1


def _parameter_types_end(found: Sequence[Token], at: int, hidden: frozenset[str], nesting: int) -> int:
    """Index behind the parenthesis that closes a list of types opened at `at`; 0 where it is none."""
    end = at + 1
    while text_at(found, end) != ")":
        behind = skip_references(found, type_end(found, end, hidden, nesting + 1))
        if behind == end or text_at(found, behind) not in (",", ")"):
            return 0
        end = behind + (text_at(found, behind) == ",")
    return end + 1


def skip_references(found: Sequence[Token], at: int) -> int:
    while text_at(found, at) in ("&", "&&"):
        at += 1
    return at


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

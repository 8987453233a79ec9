"""Types and heads of functions in a token sequence.

Belongs here: where a type ends, what it is qualified with, and what of a head matters to who calls the function; read
narrowly, so that what is not certain to be a type is none. Not here: what is declared with types (`scopes`).
"""

from __future__ import annotations

from collections.abc import Sequence

from cpp_pipeline.sandbox.cpp.names import BUILTIN, GLOBAL, SIMPLE, TEMPLATES, words

Token = tuple[str, str]
OPEN, CLOSE = ("(", "[", "{"), (")", "]", "}")
_MEMBERS = words("iterator const_iterator reverse_iterator size_type value_type")
_LIMITS = frozenset(("max", "min", "lowest", "infinity", "epsilon"))
_MAX_NESTING = 12


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
    """Index of the first token from `at` on that is no `&` or `&&`."""
    while text_at(found, at) in ("&", "&&"):
        at += 1
    return at

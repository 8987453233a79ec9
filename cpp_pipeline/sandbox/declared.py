"""Which names a function declares, and where a type of the standard library is qualified further.

Belongs here: types and declarations in a token sequence, read narrowly. What is not certain to be a declaration
declares nothing. Not here: which names may be used (`plain`).
"""

from __future__ import annotations

from collections.abc import Iterator

Token = tuple[str, str]


def words(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


BUILTIN = words("bool char double float int long short signed unsigned")
SIMPLE = words("string size_t int8_t int16_t int32_t int64_t uint8_t uint16_t uint32_t uint64_t")
TEMPLATES = words(
    """array deque greater hash less list map multimap multiset numeric_limits optional pair plus priority_queue
    queue set stack tuple unordered_map unordered_set vector"""
)
_MEMBERS = words("iterator const_iterator reverse_iterator size_type value_type")
_LIMITS = frozenset(("max", "min", "lowest"))
_AFTER_NAME = words("= ; , ( { [ : )")
_AFTER_FURTHER = words("= ; , ( { [")
_MAX_NESTING = 12


def declared(found: list[Token]) -> set[str]:
    """Names that stand behind a type: parameters, variables, loop variables and structured bindings.

    `found` is a function's tokens or a part of them. Time is linear in their number.
    """
    names: set[str] = set()
    in_list = [False]  # for every open bracket: whether a comma here goes on with a declaration
    at = 0
    while at < len(found):
        end = at if _text(found, at - 1) in (".", "->", "::") else type_end(found, at)
        if end > at:
            name_at = _skip_references(found, end)
            if _declares(found, name_at, _AFTER_NAME):
                names.add(found[name_at][1])
                in_list[-1] = True
            elif _text(found, end - 1) == "auto" or _text(found, end - 2) == "auto":
                names.update(_binding(found, name_at))
            at = end
            continue
        text = found[at][1]
        if text in ("(", "[", "{"):
            in_list.append(False)
        elif text in (")", "]", "}") and len(in_list) > 1:
            in_list.pop()
        elif text == ";":
            in_list[-1] = False
        elif text == "," and in_list[-1]:
            name_at = _skip_references(found, at + 1)
            if _declares(found, name_at, _AFTER_FURTHER):
                names.add(found[name_at][1])
        at += 1
    return names


def type_end(found: list[Token], at: int, nesting: int = 0) -> int:
    """Index behind the type that begins at `at`; `at` itself where none begins."""
    end = at + (_text(found, at) == "const")
    if _text(found, end) in BUILTIN:
        while _text(found, end) in BUILTIN:
            end += 1
    elif _text(found, end) == "auto":
        end += 1
    else:
        end += 2 if _text(found, end) == "std" and _text(found, end + 1) == "::" else 0
        name = _text(found, end)
        end += 1
        if name in TEMPLATES and _text(found, end) == "<":
            end = _arguments_end(found, end, nesting)
            if end == 0:
                return at
        elif name not in SIMPLE | TEMPLATES:
            return at
        if _text(found, end) == "::" and _text(found, end + 1) in _MEMBERS:
            end += 2
    return end + (_text(found, end) == "const")


def qualified(found: list[Token]) -> set[int]:
    """Indices of each `::` that stands in `std::x`, `std::string::npos` or `std::x<types>::member`."""
    inside = set()
    for at in range(len(found) - 2):
        if found[at][1] != "std" or found[at + 1][1] != "::" or _text(found, at - 1) in (".", "->", "::"):
            continue
        inside.add(at + 1)
        name, end = found[at + 2][1], at + 3
        if name in TEMPLATES and _text(found, end) == "<":
            end = _arguments_end(found, end, 0)
        members = {"npos"} | _MEMBERS if name == "string" else _LIMITS if name == "numeric_limits" else _MEMBERS
        if name in SIMPLE | TEMPLATES and end and _text(found, end) == "::" and _text(found, end + 1) in members:
            inside.add(end)
    return inside


def _arguments_end(found: list[Token], at: int, nesting: int) -> int:
    """Index behind the `>` that closes template arguments opened at `at`; 0 where they are not only types."""
    if nesting == _MAX_NESTING:
        return 0
    end = at + 1
    while _text(found, end) != ">":
        behind = type_end(found, end, nesting + 1)
        if behind == end and end < len(found) and found[end][0] == "number":
            behind += 1
        if behind == end or _text(found, behind) not in (",", ">"):
            return 0
        end = behind + (_text(found, behind) == ",")
    return end + 1


def _text(found: list[Token], at: int) -> str:
    return found[at][1] if 0 <= at < len(found) else ""


def _skip_references(found: list[Token], at: int) -> int:
    while _text(found, at) in ("&", "&&"):
        at += 1
    return at


def _declares(found: list[Token], at: int, after: frozenset[str]) -> bool:
    # behind the last token of a part stands what the caller left out, such as the brace of a function's body
    return at < len(found) and found[at][0] == "name" and _text(found, at + 1) in after


def _binding(found: list[Token], at: int) -> Iterator[str]:
    """Names of `[a, b]`; none where it is not of this form."""
    names = []
    if _text(found, at) != "[":
        return
    while at + 1 < len(found) and found[at + 1][0] == "name" and _text(found, at + 2) in (",", "]"):
        names.append(found[at + 1][1])
        at += 2
        if found[at][1] == "]":
            yield from names
            return

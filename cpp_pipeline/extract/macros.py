"""Which macros of a repository mean nothing to the structure of its files.

Belongs here: reading definitions. Does not belong here: overwriting the macros (`blanking.py`).

`class EXPORT X {` is a function named X to a parser that does not know EXPORT, and all members of X look local. So
names that the repository itself defines as attributes, specifiers or the like are overwritten before parsing. They are
handed on as text, in these forms:

NAME        the name vanishes
NAME(       the name vanishes with its arguments
NAME(;      the same where the call is a statement of its own: its definition may be anything
NAME=public, NAME(=int    the word stands for the name, or for the name and its arguments
"""

from __future__ import annotations

import re

_DEFINE = re.compile(r"#[ \t]*+define[ \t]++(\w++)(\([^()\n]*+\))?+([^\\\n]*+(?:\\.[^\\\n]*+)*+)", re.DOTALL)
_COMMENT = re.compile(r"//[^\n]*|/\*.*?(?:\*/|\Z)|\\\n", re.DOTALL)
_ARGUMENTS = r"\( (?:[^()]|\((?:[^()]|\([^()]*\))*\))*+ \)"
_BLOCK = r"\{ (?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*+ \}"
_TRANSPARENT = re.compile(
    rf"""\[\[ [^\]]* \]\]
      | \b(?: __attribute__ | __attribute | __declspec | __pragma | _Pragma | alignas | noexcept | explicit | throw)
        \s* {_ARGUMENTS}
      | (?:inline\s+)? namespace (?:\s+[\w:]+(?:\s*{_ARGUMENTS})?+)?+ \s* \{{  |  \}}
      | (?: export | extern \s* "C(?:\+\+)?") \s* \{{?
      | \A template \s* < [^{{}};]* > \Z
    """,
    re.VERBOSE,
)
_HEAD = re.compile(
    rf"""(?: (?: catch | if | while) \s* {_ARGUMENTS} (?: \s* {_BLOCK})?+ \s*
          | \}}? \s* (?: try | else | do) \s* )+""",
    re.VERBOSE,
)
_CALL = re.compile(rf"\b(\w+) \s* {_ARGUMENTS}", re.VERBOSE)
_KEYWORD_TEXT = """
    inline static extern constexpr constinit consteval const virtual explicit noexcept override
    final register volatile __inline __inline__ __forceinline __restrict __restrict__ __extension__ _NOEXCEPT
    __cdecl __stdcall __fastcall __vectorcall __thiscall __host__ __device__ __global__ restrict try else
"""
_KEYWORDS = frozenset(_KEYWORD_TEXT.split())
_TEMPLATE_PARAMETER = re.compile(r"(?:typename\s+)?[\w:]*\benable_if\w*\s*<.*>(?:::type)?\s*(?:=\s*\w+)?", re.DOTALL)
_ACCESS = frozenset(("public", "protected", "private"))
_LANGUAGE_TEXT = """
    auto bool break case catch char class const const_cast continue default delete do double else enum explicit extern
    false float for friend goto if inline int long mutable namespace new operator private protected public return short
    signed sizeof static static_cast struct switch template this throw true try typedef typename union unsigned using
    virtual void volatile while
"""
_LANGUAGE = frozenset(_LANGUAGE_TEXT.split())
_ROUNDS = 3
_MAX_VALUE = 4_000
_UNKNOWN = "?"


class MacroDefinitions:
    """Macros of one repository that may be blanked without changing the structure."""

    def __init__(self) -> None:
        self._values: dict[str, set[str]] = {}

    def add(self, text: str) -> None:
        """Note the definitions of one file."""
        if "define" not in text:
            return
        for match in _DEFINE.finditer(text):
            if text[text.rfind("\n", 0, match.start()) + 1 : match.start()].strip(" \t"):
                continue
            value = _COMMENT.sub(" ", match[3]).strip() if "/" in match[3] or "\\" in match[3] else match[3].strip()
            name = match[1] + ("(" if match[2] else "")
            if len(match[1]) > 1 and match[1] not in _LANGUAGE:
                self._values.setdefault(name, set()).add(value if len(value) < _MAX_VALUE else _UNKNOWN)

    def transparent(self) -> tuple[str, ...]:
        """Names to overwrite, sorted, in the forms that the module describes.

        A name vanishes when one of its definitions is empty or the head of a statement, for then the code is
        well-formed without it, or when all are attributes, specifiers, template heads or braces of namespaces, also
        through other such macros, three levels deep.
        """
        words = {name: word for name, values in self._values.items() if (word := _as_word(name, values))}
        known: set[str] = set()
        values = {
            name: set() if any(_is_optional(value) for value in values) else {_TRANSPARENT.sub(" ", v) for v in values}
            for name, values in self._values.items()
            if name not in words
        }

        def call(match: re.Match[str]) -> str:
            return " " if f"{match[1]}(" in known else match[0]

        for _ in range(_ROUNDS):
            allowed = _KEYWORDS | known
            known |= {
                name
                for name, texts in values.items()
                if name not in known and all(allowed.issuperset(_CALL.sub(call, text).split()) for text in texts)
            }
        statements = {f"{name};" for name in values.keys() - known if name.endswith("(")}
        return tuple(sorted({*known, *words.values(), *statements}))


def _is_optional(value: str) -> bool:
    return not value or _HEAD.fullmatch(value) is not None


def _as_word(name: str, values: set[str]) -> str | None:
    """The form of a name that a word replaces."""
    if values <= _ACCESS and len(name) >= len("public"):
        return f"{name}=public"
    said = values - {""}
    if name.endswith("(") and said and all(_TEMPLATE_PARAMETER.fullmatch(value) for value in said):
        return f"{name}=int"
    return None

"""Token views by which rows are compared: normal text, hash, and names replaced.

Belongs here: what makes two pieces of code "the same" at a given strictness.
Does not belong here: the lexer itself (`extract/lexer.py`) and decisions about rows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from cpp_pipeline.extract.lexer import token_lines, token_sha256, tokens

__all__ = ["is_identifier", "normalised", "numbered", "symbols", "token_sha256", "tokens"]

_KEYWORD_TEXT = """
    alignas alignof and and_eq asm auto bitand bitor bool break case catch char char8_t char16_t
    char32_t class compl concept const consteval constexpr constinit const_cast continue co_await
    co_return co_yield decltype default delete do double dynamic_cast else enum explicit export
    extern false float for friend goto if inline int long mutable namespace new noexcept not not_eq
    nullptr operator or or_eq private protected public register reinterpret_cast requires return
    short signed sizeof static static_assert static_cast struct switch template this thread_local
    throw true try typedef typeid typename union unsigned using virtual void volatile wchar_t while
    xor xor_eq
"""
KEYWORDS = frozenset(_KEYWORD_TEXT.split())
_CONTINUED = re.compile(r"\\[ \t\f\v]*\r?\n")
_LITERAL = re.compile(r"""\.?\d|(?:u8|[uUL])?R?["'].""", re.DOTALL)


def is_identifier(token: str) -> bool:
    """A name that is not a C++ keyword."""
    return token not in KEYWORDS and (token[0].isalpha() or token[0] == "_") and _LITERAL.match(token) is None


def normalised(code: str) -> str:
    """Code without comments and layout: its tokens with one space between them, directives line by line as they are.

    Two solutions with equal normal text differ in nothing that a compiler sees (line numbers apart). Where layout
    may have a meaning that tokens do not show, the normal text is the code itself: a `#` that makes text of a macro's
    argument ([cpp.stringize]), its digraph, and continued lines beside raw strings, where they stay ([lex.phases]).
    """
    joined = _CONTINUED.sub("", code)
    if "%:" in code or (joined != code and 'R"' in code):
        return code
    parts: list[str] = []
    directive = False
    for line, text in token_lines(joined):
        after_directive, directive = directive, line[0] == "#"
        if "#" in line[1:]:
            return code
        if parts:
            parts.append("\n" if directive or after_directive else " ")
        parts.append(text.strip() if directive else " ".join(line))
    return "".join(parts)


def numbered(parts: Sequence[str]) -> list[str]:
    """Names replaced by their order of first use, so that a mere rename changes nothing."""
    names: dict[str, str] = {}
    return [names.setdefault(t, f"${len(names)}") if is_identifier(t) else t for t in parts]


def symbols(parts: Sequence[str]) -> list[str]:
    """Every name replaced by `$`, every literal by `0`: the form that survives renaming."""
    return ["$" if is_identifier(t) else "0" if _LITERAL.match(t) else t for t in parts]

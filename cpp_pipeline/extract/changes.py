"""Whether the change of one function is worth learning from.

Belongs here: rules on a function before and after. Does not belong here: messages (`messages.py`) and where
the two sides come from (`diffs.py`, `repairs.py`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from cpp_pipeline.extract.lexer import token_distance, tokens

MIN_CHANGED_TOKENS = 2
MAX_CHANGED_TOKENS = 120
MAX_CHANGED_SHARE = 0.6
MAX_FUNCTION_CHARACTERS = 6_000
_LITERAL_START = ('"', "'", *"0123456789")


_SPECIFIER_TEXT = """
    inline static extern constexpr consteval constinit noexcept override final virtual explicit register friend
    [ ] nodiscard maybe_unused noreturn deprecated fallthrough
"""
_SPECIFIERS = frozenset(_SPECIFIER_TEXT.split())


def _is_name(token: str) -> bool:
    return token[0].isalpha() or token[0] == "_"


@dataclass(frozen=True)
class Change:
    """What can be said of a function's change by its tokens.

    Attributes
    ----------
    n_changed_tokens
        Least number of tokens to insert, delete or replace.
    n_tokens
        Tokens of the longer side.
    is_rename
        A one-to-one map of names explains the whole change.
    is_literal
        Only literals differ.
    is_specifier
        Only specifiers, attributes and macros in capitals come or go.
    is_tiny, is_big
        Fewer tokens than `MIN_CHANGED_TOKENS`; more than the limits above.
    """

    n_changed_tokens: int
    n_tokens: int
    is_rename: bool
    is_literal: bool
    is_specifier: bool
    is_tiny: bool
    is_big: bool


def change_of(before: str, after: str) -> Change:
    """Measure the change of one function; comments and layout do not count."""
    a, b = tokens(before), tokens(after)
    differing = [(x, y) for x, y in zip(a, b, strict=False) if x != y] if len(a) == len(b) else []
    moved = (Counter(a) - Counter(b)) + (Counter(b) - Counter(a))
    changed = token_distance(a, b)
    longer = max(len(a), len(b))
    return Change(
        n_changed_tokens=changed,
        n_tokens=longer,
        is_rename=bool(differing) and all(_is_name(x) and _is_name(y) for x, y in differing) and _one_to_one(a, b),
        is_literal=bool(differing) and all(t.startswith(_LITERAL_START) for pair in differing for t in pair),
        is_specifier=bool(moved) and all(map(_is_specifier, moved)),
        is_tiny=changed < MIN_CHANGED_TOKENS,
        is_big=changed > min(MAX_CHANGED_TOKENS, MAX_CHANGED_SHARE * longer)
        or max(len(before), len(after)) > MAX_FUNCTION_CHARACTERS,
    )


def _is_specifier(token: str) -> bool:
    return token in _SPECIFIERS or (len(token) > 2 and token.isupper() and _is_name(token))


def _one_to_one(a: list[str], b: list[str]) -> bool:
    there, back = dict(zip(a, b, strict=True)), dict(zip(b, a, strict=True))
    return all(there[x] == y and back[y] == x for x, y in zip(a, b, strict=True))

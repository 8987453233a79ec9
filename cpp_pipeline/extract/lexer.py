"""The C++ lexer: text to tokens, and the hash and distance built on them.

Belongs here: what a token is, and the one hash by which two functions count as the same.
Does not belong here: syntax (`functions.py`) and decisions about rows (`curate/`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from rapidfuzz.distance import Levenshtein

# Order matters: strings stand before comments ("http://x"), raw strings before identifiers (R"(..)").
# Every alternative is linear: possessive repeats, and what is not closed runs to the end of the text.
# A line goes on behind a backslash, also when blanks stand between it and the line end (as g++ reads it).
_TOKEN = re.compile(
    r"""
    (?P<skip> \s++ | \\[ \t\f\v]*\r?\n
      | //(?:[^\\\n]|\\[ \t\f\v\r]*\n|\\.)*+
      | /\*.*?(?:\*/|\Z) )
  | (?:u8|[uUL])?R"(?P<fence>[^\s()\\"]{0,16})\(.*?(?:\)(?P=fence)"|\Z)
  | (?:u8|[uUL])?"(?:[^"\\\n]|\\[ \t\f\v\r]*\n|\\.)*+"
  | (?:u8|[uUL])?'(?:[^'\\\n]|\\[ \t\f\v\r]*\n|\\.)++'
  | [^\W\d]\w*+
  | \.?\d(?:[eEpP][+-]|'?\w|\.)*+
  | <<=|<=>|->\*|\.\.\.|::|->|\+\+|--|<<|&&|\|\||\#\#|[-+*/%&|^=!<>]=|\S
    """,
    re.VERBOSE | re.DOTALL,
)
DECISIONS = frozenset(("if", "for", "while", "case", "catch", "&&", "||", "?", "and", "or"))


def tokens(code: str) -> list[str]:
    """C++ tokens of `code` in order, without comments, blanks and line continuations.

    Never fails: a byte that begins no token is a token of its own, an unclosed comment or raw string
    ends with the text. `>>` is two tokens, so that `A<B<C>>` and `A<B<C> >` are the same.
    """
    return [m.group() for m in _TOKEN.finditer(code) if m.lastgroup != "skip"]


def token_lines(code: str) -> list[tuple[list[str], str]]:
    """Tokens and text of each line that holds any; a comment or a raw string does not end the line it is in."""
    found: list[tuple[list[str], str]] = []
    parts: list[str] = []
    start = 0
    for match in _TOKEN.finditer(code):
        if match.lastgroup != "skip":
            start = start if parts else match.start()
            parts.append(match.group())
        elif parts and match.group().isspace() and "\n" in match.group():
            found.append((parts, code[start : match.start()]))
            parts = []
    return [*found, (parts, code[start:])] if parts else found


def hash_tokens(parts: Sequence[str]) -> str:
    """sha256 of the tokens with a 0 byte between them (without it `a b` would equal `ab`)."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()


def token_sha256(code: str) -> str:
    """Hash that ignores comments and layout; equal hashes mean the same token sequence."""
    return hash_tokens(tokens(code))


def as_numbers(*sequences: Sequence[str]) -> list[list[int]]:
    """Replace equal tokens by equal numbers over all sequences.

    rapidfuzz compares list elements by Python's hash, which differs between processes and may
    collide; small integers do neither.
    """
    numbers: dict[str, int] = {}
    return [[numbers.setdefault(t, len(numbers)) for t in sequence] for sequence in sequences]


def token_distance(before: Sequence[str], after: Sequence[str]) -> int:
    """Least number of tokens to insert, delete or replace (Levenshtein)."""
    a, b = as_numbers(before, after)
    return int(Levenshtein.distance(a, b))


def cyclomatic(parts: Sequence[str]) -> int:
    """Decision points plus one (McCabe 1976), each `&&`, `||`, `?` and `case` being a decision."""
    return 1 + sum(t in DECISIONS for t in parts)

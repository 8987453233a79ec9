"""Whether the change of one function is worth learning from.

Belongs here: rules on a function before and after. Does not belong here: messages (`messages.py`) and where
the two sides come from (`diffs.py`, `repairs.py`).
"""

from __future__ import annotations

from cpp_pipeline.extract.lexer import token_distance, tokens
from cpp_pipeline.extract.messages import is_fix
from cpp_pipeline.extract.quality import Rule

MIN_CHANGED_TOKENS = 2
MAX_CHANGED_TOKENS = 120
MAX_CHANGED_SHARE = 0.6
MAX_FUNCTION_CHARACTERS = 6_000
_LITERAL_START = ('"', "'", *"0123456789")


def _is_name(token: str) -> bool:
    return token[0].isalpha() or token[0] == "_"


def change_problem(before: str, after: str, message: str) -> Rule | None:
    """Why a change of one function teaches nothing: rename, literal, tiny, big; None when it is kept."""
    a, b = tokens(before), tokens(after)
    if a == b:
        return "no change", "the tokens are equal"
    if len(a) == len(b):
        differing = [(x, y) for x, y in zip(a, b, strict=True) if x != y]
        mapping, backwards = dict(zip(a, b, strict=True)), dict(zip(b, a, strict=True))
        one_to_one = all(mapping[x] == y and backwards[y] == x for x, y in zip(a, b, strict=True))
        if one_to_one and all(_is_name(x) and _is_name(y) for x, y in differing):
            return "rename", ", ".join(sorted({f"{x} to {y}" for x, y in differing}))
        if all(x.startswith(_LITERAL_START) and y.startswith(_LITERAL_START) for x, y in differing):
            return "literal", ", ".join(f"{x} to {y}" for x, y in differing[:5])
    changed = token_distance(a, b)
    if changed < MIN_CHANGED_TOKENS and not is_fix(message):
        return "tiny", f"{changed} tokens"
    if changed > MAX_CHANGED_TOKENS or changed > MAX_CHANGED_SHARE * max(len(a), len(b)):
        return "big", f"{changed} of {max(len(a), len(b))} tokens"
    if max(len(before), len(after)) > MAX_FUNCTION_CHARACTERS:
        return "big", f"{max(len(before), len(after))} characters"
    return None

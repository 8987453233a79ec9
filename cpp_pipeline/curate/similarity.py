"""How alike two solutions are, for preference pairs.

Belongs here: the measure. Does not belong here: which pairs are kept (`rollouts/`).
"""

from __future__ import annotations

from rapidfuzz.distance import Levenshtein

from cpp_pipeline.curate.tokens import numbered, tokens
from cpp_pipeline.extract.lexer import as_numbers


def similarity(a: str, b: str) -> float:
    """Normalised Levenshtein similarity of two codes over their C++ tokens, 0 to 1.

    `1 - distance / max(len(a), len(b))` in tokens; comments and layout do not count. On tokens rather
    than characters, so that layout is free and a long name weighs as much as a short one. Two texts
    without tokens are equal (1.0).
    """
    x, y = as_numbers(tokens(a), tokens(b))
    return float(Levenshtein.normalized_similarity(x, y))


def is_rename(a: str, b: str) -> bool:
    """Whether the two codes differ at most in a one-to-one renaming: such a pair carries no preference."""
    return numbered(tokens(a)) == numbered(tokens(b))

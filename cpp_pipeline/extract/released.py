"""Which repairs are released: the rules, in order, as one table of expressions.

Belongs here: the columns that rules are asked of, and the rules. Does not belong here: how a column is found
(`messages.py`, `touched.py`, `changes.py`).
"""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from cpp_pipeline.extract.changes import MAX_CHANGED_TOKENS
from cpp_pipeline.schemas import TABLES
from cpp_pipeline.schemas.columns import B, I, S, column
from cpp_pipeline.schemas.table import Table

_RELEASED = {c.name: c for c in TABLES["diff_sft"].columns}
_OWN = (
    "row_id", "dump", "repo", "commit", "path", "licence", "origin", "message", "is_fix",
)  # fmt: skip
CANDIDATES = Table(
    "diff_candidates",
    "A commit or record on its way to `diff_sft`; what was not looked at is null.",
    (
        *(_RELEASED[name] for name in _OWN),
        column("beside", S, "path of a benchmark, an example, a test or third-party code", nullable=True),
        column("unusable", S, "what keeps the message from being a request", nullable=True),
        column("vague", S, "words by which the message tells little", nullable=True),
        column("multi", S, "words by which the message tells of a second change", nullable=True),
        column("unspecific", S, "the message, when it names hardly more than the place", nullable=True),
        column("refused", S, "why a file was not read", nullable=True),
        column("is_code", B, "more than comments and layout", nullable=True),
        column("n_functions", I, "functions that differ", nullable=True),
        column("appearing", S, "functions that are on one side only", nullable=True),
        column("superseded_seconds", I, "time to the next change of the function", nullable=True),
        *(
            column(name, _RELEASED[name].dtype, _RELEASED[name].description, nullable=True)
            for name in (
                "function", "instruction", "before", "after", "before_has_parse_error", "after_has_parse_error",
                "has_residue", "n_changed_tokens", "n_tokens", "is_rename", "is_literal", "is_specifier", "is_tiny",
                "is_big",
            )
        ),
    ),
    ("row_id",),
)  # fmt: skip


class Rule(NamedTuple):
    """When a row is kept out, and what was seen."""

    when: pl.Expr
    seen: pl.Expr


_C = pl.col
_COMMIT = _C("origin") == "commit"
RULES: dict[str, Rule] = {
    "message": Rule(_C("unusable").is_not_null(), _C("unusable")),
    "unread": Rule(_C("refused").is_not_null(), _C("refused")),
    "comments only": Rule(~_C("is_code"), pl.lit("no token differs")),
    "not one function": Rule(
        (_C("n_functions") != 1) | _C("appearing").is_not_null(),
        pl.format("{} functions changed, added or removed: {}", _C("n_functions"), _C("appearing").fill_null("none")),
    ),
    "parse_error": Rule(_C("before_has_parse_error") | _C("after_has_parse_error"), _C("function")),
    "path": Rule(_C("beside").is_not_null(), _C("beside")),
    "vague": Rule(_COMMIT & _C("vague").is_not_null(), _C("vague")),
    "multi": Rule(_COMMIT & _C("multi").is_not_null(), _C("multi")),
    "residual": Rule(_COMMIT & _C("has_residue"), pl.lit("code outside the function changed too")),
    "rename": Rule(_C("is_rename"), _C("function")),
    "literal": Rule(_C("is_literal"), _C("function")),
    "specifier": Rule(_C("is_specifier"), _C("function")),
    "tiny": Rule(_C("is_tiny") & ~_C("is_fix"), pl.format("{} tokens", _C("n_changed_tokens"))),
    "big": Rule(
        _C("is_big"),
        pl.format("{} of {} tokens; limit {}", _C("n_changed_tokens"), _C("n_tokens"), pl.lit(MAX_CHANGED_TOKENS)),
    ),
    "superseded": Rule(
        _C("superseded_seconds").is_not_null(), pl.format("changed again after {} s", _C("superseded_seconds"))
    ),
    "unspecific": Rule(_COMMIT & _C("unspecific").is_not_null(), _C("unspecific")),
    "not a fix": Rule(_COMMIT & ~_C("is_fix"), _C("message").str.split("\n").list.first()),
}
"""Reason -> rule, in the order in which they are asked; what is left is the released class, repairs of defects.

The last two choose the released class: a change that is no fix is seldom told by one sentence, and a fix is not
where the sentence names no defect. Records that others collected as repairs are not judged by their titles, nor by
what else their pull request changed.
"""
REASON = pl.coalesce(pl.when(rule.when).then(pl.lit(reason)) for reason, rule in RULES.items())
"""The first rule that keeps a candidate out; null when it is released."""
_SEEN = pl.coalesce(pl.when(rule.when).then(rule.seen) for rule in RULES.values())
_PLACE = pl.format("{}:{}:{}", "repo", "commit", "path")
_LIMIT = 2_000


def released(candidates: pl.LazyFrame) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """`diff_sft` (still without what redaction adds) and its quarantine, from rows of `CANDIDATES`."""
    judged = candidates.with_columns(reason=REASON)
    kept = judged.filter(_C("reason").is_null()).with_columns(
        is_vague=_C("vague").is_not_null(),
        is_unspecific=_C("unspecific").is_not_null(),
        is_multi=_C("multi").is_not_null(),
        is_superseded=_C("superseded_seconds").is_not_null(),
    )
    bad = judged.filter(_C("reason").is_not_null()).select(
        "row_id",
        "reason",
        detail=pl.format("{}: {}", _PLACE, _SEEN.fill_null("")),
        text=pl.coalesce("after", "message").str.slice(0, _LIMIT),
    )
    return kept, bad

"""Tables of pairs: documented functions and repairs."""

from __future__ import annotations

from cpp_pipeline.schemas.columns import DUMP, INSTRUCTION, LICENCE, PATH, REPO, SIGNATURE, STRINGS, B, F, I, S, column
from cpp_pipeline.schemas.table import Table

PAIR_TABLES = (
    Table(
        "docstring_pairs",
        "One documented C++ function: its documentation and its code.",
        (
            column("pair_id", S, "hash of dump, repo, path, line and name"),
            DUMP,
            REPO,
            PATH,
            column("line", I, "first line of the function, from 1", ge=1),
            column("end_line", I, "last line of the function", ge=1),
            LICENCE,
            column("name", S, "unqualified name"),
            column("qualified_name", S, "with namespaces and classes"),
            column("doc_raw", S, "comment as written"),
            column("doc", S, "comment without comment marks"),
            column("brief", S, "first sentence or \\brief"),
            column("doc_params", STRINGS, "parameter names that the documentation mentions"),
            column("doc_returns", S, "text of \\return", nullable=True),
            SIGNATURE,
            column("body", S, "text between the braces"),
            column("code", S, "whole function as written"),
            column("context", S, "includes, namespace and class around it"),
            column("origin", S, "doc beside the body, or at a declaration", isin=("own", "joined")),
            column("doc_path", S, "file of the documentation"),
            column("doc_line", I, "first line of the documentation", ge=1),
            column("n_tokens", I, "C++ tokens of the function", ge=1),
            column("cyclomatic", I, "cyclomatic complexity", ge=1),
            column("has_parse_error", B, "the parser saw an error inside the function"),
            column("token_sha256", S, "hash of the normalised tokens"),
            column("quality", F, "0 to 1: documentation and code agree", ge=0, le=1),
        ),
        ("pair_id",),
        True,
    ),
    Table(
        "diff_sft",
        "A repair at function level: what was wrong, the function before, the function after.",
        (
            column("row_id", S, "hash of dump, repo, commit, path and function"),
            DUMP,
            REPO,
            column("commit", S, "commit id"),
            PATH,
            column("function", S, "name of the function"),
            LICENCE,
            column("message", S, "raw commit message"),
            INSTRUCTION,
            column("before", S, "function before"),
            column("after", S, "function after"),
            column("n_changed_tokens", I, "tokens that differ", ge=1),
            column("is_fix", B, "the message speaks of a defect"),
        ),
        ("row_id",),
        True,
    ),
)

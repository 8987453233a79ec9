"""Tables of what was kept out of another table, each row with its reason."""

from __future__ import annotations

from collections.abc import Mapping

from cpp_pipeline.schemas.columns import S, column
from cpp_pipeline.schemas.table import Table

_DAMAGED = "a damaged or hostile dump may have the same trouble twice in one place: a member named again in an archive"
_PARSER = "a file on which the parser dies is told at each of its two readings"


def _quarantine(
    table: str, partitioned: bool, sources: Mapping[str, str], key: tuple[str, ...] = (), no_key: str = ""
) -> Table:
    return Table(
        f"{table}_quarantine",
        f"Rows kept out of `{table}`, each with its reason.",
        (
            column("row_id", S, "name of the row, or of its file and line"),
            column("reason", S, "short reason, the same words for the same cause"),
            column("detail", S, "file, line, and what was seen"),
            column("text", S, "the text concerned, at most 2,000 characters"),
        ),
        key,
        partitioned,
        sources=sources,
        no_key=no_key,
    )


QUARANTINE_TABLES = (
    _quarantine("source_files", True, {"*": "read in the dump"}, no_key=_DAMAGED),
    _quarantine("commits", True, {"*": "read in the dump's git history"}, no_key=_DAMAGED),
    _quarantine("repairs", True, {"*": "read in the dump's JSONL records"}, ("row_id",)),
    _quarantine(
        "docstring_pairs",
        True,
        {
            "row_id detail": "clean_files.repo clean_files.path, and what was seen in clean_files.content",
            "*": "clean_files.content",
        },
        no_key=_PARSER,
    ),
    _quarantine(
        "diff_sft",
        True,
        {
            "row_id": "hash of the partition, commits.repo commits.commit repairs.place",
            "text": "commits.after commits.message repairs.after repairs.title repairs.body",
            "*": (
                "rules on commits.repo commits.commit commits.path commits.time commits.n_files commits.message "
                "commits.before commits.after repairs.place repairs.title repairs.body repairs.before repairs.after"
            ),
        },
        ("row_id",),
    ),
    _quarantine(
        "cmake_sft",
        True,
        {
            "row_id": "clean_files.repo clean_files.path",
            "text": "clean_files.content",
            "*": "told by cmake in the sandbox about clean_files.content, with the sources in clean_files.path",
        },
        ("row_id",),
    ),
    _quarantine(
        "train_problems",
        False,
        {
            "row_id": "generated, bundled or docstring_pairs.pair_id",
            "text": "bundled or docstring_pairs.signature docstring_pairs.body",
            "*": (
                "judged in the sandbox, or rules on docstring_pairs.has_parse_error docstring_pairs.doc "
                "docstring_pairs.signature docstring_pairs.body docstring_pairs.code docstring_pairs.context "
                "docstring_pairs.token_sha256 docstring_pairs.dump docstring_pairs.repo docstring_pairs.path "
                "docstring_pairs.line"
            ),
        },
        ("row_id",),
    ),
    _quarantine(
        "eval_problems",
        False,
        {"*": "the user's or bundled, with references judged in the sandbox"},
        no_key="two problem sets of the user may hold the same problem",
    ),
    _quarantine(
        "combined_sft",
        False,
        {
            "reason": "constant",
            "row_id": "docstring_sft.row_id diff_sft.row_id repair_rows.row_id train_problems.problem_id",
            "detail": (
                "lengths, and docstring_sft.provenance train_problems.problem_id diff_sft.dump diff_sft.repo "
                "diff_sft.commit diff_sft.path repair_rows.problem_id"
            ),
            "text": (
                "docstring_sft.response train_problems.reference train_problems.references pass_k_sft.solutions "
                "diff_sft.after repair_rows.after"
            ),
        },
        ("row_id",),
    ),
)

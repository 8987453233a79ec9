"""Tables of files: what lies in a dump, its readable files and commits, and what is kept of them."""

from __future__ import annotations

from cpp_pipeline.schemas.columns import DUMP, FILE_COLUMNS, LICENCE, PATH, REPO, I, S, column
from cpp_pipeline.schemas.table import Table

FILE_TABLES = (
    Table(
        "repo_dump",
        "One file of a dump as it lies there; the listing's hash is the dump's data version.",
        (
            DUMP,
            column("path", S, "path inside the dump"),
            column("size_bytes", I, "bytes", ge=0),
            column("sha256", S, "sha256 of the bytes"),
        ),
        ("dump", "path"),
        True,
        sources={
            "dump": "the partition",
            "*": "listed in the dump",
        },
    ),
    Table(
        "source_files",
        "One readable C, C++ or CMake file of a dump.",
        FILE_COLUMNS,
        ("dump", "repo", "path"),
        True,
        sources={
            "dump": "the partition",
            "*": "read in the dump",
        },
    ),
    Table(
        "commits",
        "One C or C++ file before and after a commit of a dump that holds git history.",
        (
            DUMP,
            REPO,
            column("commit", S, "commit id"),
            PATH,
            column("time", I, "commit time, seconds since 1970", ge=0),
            column("message", S, "raw commit message"),
            column("n_files", I, "source files changed by the commit, without tests and third-party code", ge=1),
            LICENCE,
            column("before", S, "file text before"),
            column("after", S, "file text after"),
        ),
        ("dump", "repo", "commit", "path"),
        True,
        sources={
            "dump": "the partition",
            "*": "read in the dump's git history",
        },
    ),
    Table(
        "repairs",
        "A repair that others collected, as a record of the dump's JSONL files tells it.",
        (
            DUMP,
            column("place", S, "file and line of the record"),
            column("title", S, "what was to be done"),
            column("body", S, "further text of the record; may be empty"),
            LICENCE,
            column("before", S, "file or function before"),
            column("after", S, "file or function after"),
        ),
        ("dump", "place"),
        True,
        sources={
            "dump": "the partition",
            "*": "read in the dump's JSONL records",
        },
    ),
    Table(
        "clean_files",
        "Files kept for extraction: permissive or own licence, hand-written, not a duplicate; redacted.",
        (*FILE_COLUMNS, column("n_redacted", I, "e-mail addresses and secrets replaced in `content`", ge=0)),
        ("dump", "repo", "path"),
        True,
        sources={
            "content": "source_files.content, redacted",
            "n_redacted": "counted in source_files.content",
            "*": "source_files.*",
        },
    ),
    Table(
        "dropped_files",
        "Files kept out of `clean_files`, each with its reason.",
        (
            DUMP,
            REPO,
            PATH,
            column(
                "reason",
                S,
                "the first rule that keeps it out",
                isin=("licence", "test", "vendored", "generated", "amalgamated", "too small", "duplicate"),
            ),
            column("detail", S, "what was seen"),
            column("size_bytes", I, "bytes", ge=0),
        ),
        ("dump", "repo", "path"),
        True,
        sources={
            "reason": (
                "rules on source_files.licence source_files.is_test source_files.is_vendored "
                "source_files.is_generated source_files.is_amalgamated source_files.content"
            ),
            "detail": (
                "source_files.licence, or the file with the same source_files.content: source_files.repo "
                "source_files.path"
            ),
            "*": "source_files.*",
        },
    ),
)

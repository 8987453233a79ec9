"""Rows of input tables with defaults, for the tests of this room and of curation."""

from __future__ import annotations

import hashlib
from typing import Any


def source_file(path: str, content: str, **changes: Any) -> dict[str, Any]:
    """A row of `source_files`: a kept C++ file unless told otherwise."""
    name = path.rsplit("/", 1)[-1]
    cmake = name == "CMakeLists.txt" or name.endswith(".cmake")
    language = "cmake" if cmake else "header" if name.endswith((".h", ".hpp")) else "cpp"
    row = {
        "dump": "d",
        "repo": "r",
        "path": path,
        "commit": None,
        "licence": "MIT",
        "language": language,
        "sha256": hashlib.sha256(content.encode("utf-8", "replace")).hexdigest(),
        "size_bytes": len(content.encode("utf-8", "replace")),
        "is_test": False,
        "is_vendored": False,
        "is_generated": False,
        "is_amalgamated": False,
        "content": content,
    }
    assert changes.keys() <= row.keys()
    return row | changes


def clean_file(path: str, content: str, **changes: Any) -> dict[str, Any]:
    """A row of `clean_files`."""
    return {**source_file(path, content, **changes), "n_redacted": 0}


def commit_file(before: str, after: str, message: str, **changes: Any) -> dict[str, Any]:
    """A row of `commits`: one changed file."""
    row = {
        "dump": "d",
        "repo": "r",
        "commit": hashlib.sha256((before + after).encode()).hexdigest()[:40],
        "path": "src/a.cpp",
        "time": 1_000_000,
        "message": message,
        "n_files": 1,
        "licence": "MIT",
        "before": before,
        "after": after,
    }
    assert changes.keys() <= row.keys()
    return row | changes


def problem(problem_id: str, reference: str, **changes: Any) -> dict[str, Any]:
    """A row of `eval_problems` or `train_problems`."""
    row = {
        "problem_id": problem_id,
        "source": "bundled",
        "split_key": problem_id,
        "doc": "",
        "instruction": "Write it.",
        "signature": "int f(int x)",
        "entry_point": "f",
        "preamble": "",
        "tests": "[]",
        "n_tests": 0,
        "reference": reference,
        "references": [reference],
        "test_code": None,
        "licence": "Apache-2.0",
        "mutation_score": None,
        "provenance": "test",
    }
    assert changes.keys() <= row.keys()
    return row | changes


def measures(**changes: Any) -> dict[str, Any]:
    """The measured columns of `docstring_pairs`, of a plain function with a plain comment."""
    flags = ("autogen", "licence", "todo", "inherit", "condition", "commented_code", "echo")
    flags += ("stub", "unsupported", "constant", "accessor")
    row = {
        **{f"is_{flag}": False for flag in flags},
        "n_words": 6,
        "letter_share": 0.95,
        "doc_language": "en",
        "body_lines": 5,
        "body_characters": 80,
        "n_statements": 3,
        "parameter_agreement": None,
        "identifier_overlap": 0.5,
        "ends_in_url": False,
    }
    assert changes.keys() <= row.keys()
    return row | changes

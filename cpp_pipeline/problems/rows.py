"""Rows of the problem tables, built in one place.

Belongs here: the columns of a problem row with their defaults, and quarantine rows.
Does not belong here: where problems come from (`family`, `bundled`, `formats`, `mining`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from cpp_pipeline.problems.tests import dumps_tests

Row = dict[str, Any]

MAX_QUARANTINE_CHARACTERS = 2000


def chat_instruction(signature: str, doc: str) -> str:
    """The request in chat style, for problems that come with a documentation text only."""
    return f"Write `{signature}`: {doc}"


def short_hash(*parts: object) -> str:
    """Twelve hex digits that name `parts`; the same in every process."""
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:12]


def problem_row(
    *,
    problem_id: str,
    source: str,
    split_key: str,
    doc: str,
    signature: str,
    entry_point: str,
    tests: Sequence[Row],
    references: Sequence[str],
    provenance: str,
    instruction: str = "",
    preamble: str = "",
    test_code: str | None = None,
    licence: str | None = None,
    mutation_score: float | None = None,
    asserts: int = 0,
) -> Row:
    """One row of `train_problems` / `eval_problems`; `reference` is the first of `references` or empty.

    `asserts` counts those of `test_code`, by which a row without `tests` is judged.
    """
    return {
        "problem_id": problem_id,
        "source": source,
        "split_key": split_key,
        "doc": doc,
        "instruction": instruction or chat_instruction(signature, doc),
        "signature": signature,
        "entry_point": entry_point,
        "preamble": preamble,
        "tests": dumps_tests(tests),
        "n_tests": len(tests) or asserts,
        "reference": references[0] if references else "",
        "references": list(references),
        "test_code": test_code,
        "licence": licence,
        "mutation_score": mutation_score,
        "provenance": provenance,
    }


def quarantine_row(row_id: str, reason: str, detail: str, text: str) -> Row:
    """One row of a `<table>_quarantine` table; the text is cut to what the table allows."""
    return {
        "row_id": row_id,
        "reason": reason,
        "detail": detail,
        "text": text[:MAX_QUARANTINE_CHARACTERS],
    }

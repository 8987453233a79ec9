"""Tests of a problem as text: a JSON list of `{"args": [...], "expected": ...}`.

Belongs here: the one way to write and read that column. Running tests is the sandbox's work.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any


def dumps_tests(tests: Sequence[dict[str, Any]]) -> str:
    """Tests as JSON text; equal tests give equal text (fixed key order, no spaces).

    Raises
    ------
    ValueError
        When a test has other keys than `args` (a list) and `expected`, or a value that JSON lacks (nan).
    """
    for position, test in enumerate(tests):
        _check(test, position)
    return json.dumps(
        [{"args": t["args"], "expected": t["expected"]} for t in tests],
        ensure_ascii=False,
        separators=(",", ":"),
        allow_nan=False,
    )


def loads_tests(text: str) -> list[dict[str, Any]]:
    """The tests behind `text`, in order.

    Raises
    ------
    ValueError
        When the text is not such a list; the message says what was found.
    """
    tests = json.loads(text)
    if not isinstance(tests, list):
        raise ValueError(f"tests: expected a JSON list, found {type(tests).__name__}")
    for position, test in enumerate(tests):
        _check(test, position)
    return tests


def _check(test: Any, position: int) -> None:
    if not isinstance(test, dict) or test.keys() != {"args", "expected"} or not isinstance(test["args"], list):
        raise ValueError(f'test {position}: expected {{"args": [...], "expected": ...}}, found {str(test)[:200]}')

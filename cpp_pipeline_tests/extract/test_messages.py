"""Commit messages: what is refused, and the request that is made of the rest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpp_pipeline.extract.messages import instruction, is_fix, message_problem, subject


@pytest.mark.parametrize(
    ("message", "clean"),
    [
        ("Fix overflow in size (#123)", "Fix overflow in size"),
        ("[core] Fix overflow in size", "Fix overflow in size"),
        ("src/a.cc: fix overflow in size", "fix overflow in size"),
        ("fix(core): handle empty input", "handle empty input"),
        ("Fix it, fixes #12", "Fix it,"),
        ("\n  Fix   overflow.\n\nReviewed-by: A", "Fix overflow"),
        ("Note: keep this", "Note: keep this"),
        ("", ""),
    ],
)
def test_subject(message: str, clean: str) -> None:
    assert subject(message) == clean


@pytest.mark.parametrize(
    ("message", "path", "reason"),
    [
        ("Fix overflow in the size function", "src/a.cc", None),
        ("Return early when the list is empty", "src/a.cc", None),
        ("Fix overflow in the size function", "benchmarks/a.cc", "path"),
        ("Fix overflow in the size function", "src/a_test.cc", "path"),
        ("Fix overflow in the size function", "src/latest/contest.cc", None),
        ("Fix it", "src/a.cc", "message"),
        ("Merge branch 'main' of somewhere else", "src/a.cc", "message"),
        ("Bump version to 1.2.3 for all", "src/a.cc", "message"),
        ("Some minor change of the size", "src/a.cc", "vague"),
        ("Clean up the size function now", "src/a.cc", "vague"),
        ("Fix overflow and add a new test", "src/a.cc", "multi"),
        ("Fix overflow; return early then", "src/a.cc", "multi"),
    ],
)
def test_message_problems(message: str, path: str, reason: str | None) -> None:
    found = message_problem(message, [path])
    assert (found[0] if found else None) == reason


@pytest.mark.parametrize(
    ("message", "function", "request_text"),
    [
        ("Fixed overflow of the sum (#3)", "add", "Fix overflow of the sum in `add`."),
        ("avoids a copy in add", "add", "Avoid a copy in add."),
        ("return early on empty input", "add", "Return early on empty input in `add`."),
        ("Fix address of the box", "add", "Fix address of the box in `add`."),
        ("Fix overflow", "", "Fix overflow."),
        ("", "operator+", "Repair the function in `operator+`."),
    ],
)
def test_instruction(message: str, function: str, request_text: str) -> None:
    assert instruction(message, function) == request_text


def test_is_fix_reads_the_subject_only() -> None:
    assert is_fix("Prevent a crash on exit")
    assert not is_fix("Add a column\n\nThis fixes nothing")
    assert not is_fix("Add a prefix to it")


@given(st.text(), st.text(max_size=10))
def test_never_fails(message: str, function: str) -> None:
    message_problem(message, [])
    assert instruction(message, function).endswith(".")

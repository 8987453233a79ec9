"""Commit messages: what is refused, and the request that is made of the rest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpp_pipeline.extract.messages import (
    beside_the_code,
    instruction,
    is_fix,
    multi_words,
    subject,
    unspecific,
    unusable,
    vague_words,
)


@pytest.mark.parametrize(
    ("message", "clean"),
    [
        ("Fix overflow in size (#123)", "Fix overflow in size"),
        ("[core] Fix overflow in size", "Fix overflow in size"),
        ("src/a.cc: fix overflow in size", "fix overflow in size"),
        ("fix(core): handle empty input", "handle empty input"),
        ("Fix it, fixes #12", "Fix it"),
        ("Fix issue #317 (build of it fails)", "Fix (build of it fails)"),
        ("Fix size in gcc-7.2 (fixes issue #1594) (#1596)", "Fix size in gcc-7.2"),
        ("PROJ-12: Fix size", "Fix size"),
        (":bug: Fix size", "Fix size"),
        ("Fix size of the box introduced by #7 (#8)", "Fix size of the box"),
        ("parser: fix size", "fix size"),
        ("Fix: the size is wrong", "Fix: the size is wrong"),
        ("Fix size, thanks to @someone", "Fix size"),
        ("Fix size for ann@example.com", "Fix size for ann@example.com"),
        ("Fix size (reported by Some One)", "Fix size"),
        ("Fix runs of the same\nkey in files.\nMore.", "Fix runs of the same key in files"),
        ("Fix size\nAlso the rest", "Fix size"),
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
        ("Fix overflow in the size function", "src/fmt/bundled/a.h", "path"),
        ("Fix overflow in the size function", "src/latest/contest.cc", None),
        ("Fix it", "src/a.cc", "message unspecific"),
        ("Fix what D24513 broke in the cache key", "src/a.cc", "message"),
        ("Merge branch 'main' of somewhere else", "src/a.cc", "message"),
        ("Bump version to 1.2.3 for all", "src/a.cc", "message"),
        ("Backported the fix of the size", "src/a.cc", "message"),
        ("See https://host/x for the fix", "src/a.cc", "message"),
        ("Some minor change of the size", "src/a.cc", "vague"),
        ("Clean up the size function now", "src/a.cc", "vague"),
        ("Fix compilation errors on gcc 4.4", "src/a.cc", "unspecific"),
        ("Fix a variable shadowing warning of gcc", "src/a.cc", None),
        ("Fix the event log sink on Windows", "src/event_log_sink.h", "unspecific"),
        ("Fix double locking in the event log sink", "src/event_log_sink.h", None),
        ("Disable test that triggers a bug", "src/a.cc", "vague"),
        ("Fix parsing of test case names", "src/a.cc", None),
        ("Fix overflow and add a new test", "src/a.cc", "vague multi"),
        ("Fix overflow; return early then", "src/a.cc", "multi"),
    ],
)
def test_rules(message: str, path: str, reason: str | None) -> None:
    found = {
        "path": beside_the_code([path]),
        "message": unusable(message),
        "vague": vague_words(message),
        "unspecific": unspecific(message, [path]),
        "multi": multi_words(message),
    }
    assert " ".join(name for name, seen in found.items() if seen is not None) == (reason or "")


@pytest.mark.parametrize(
    ("message", "function", "request_text"),
    [
        ("Fixed overflow of the sum (#3)", "add", "Fix overflow of the sum in `add`."),
        ("avoids a copy in add", "add", "Avoid a copy in add."),
        ("return early on empty input", "add", "Return early on empty input in `add`."),
        ("Fix address of the box", "add", "Fix address of the box in `add`."),
        ("Fix overflow", "", "Fix overflow."),
        ("", "operator+", "Repair the function in `operator+`."),
        ("Fix: box::area is wrong when empty", "area", "Fix: box::area is wrong when empty."),
        ("box::area cannot be called twice", "f", "box::area cannot be called twice in `f`."),
        ("don't read behind the end", "f", "don't read behind the end in `f`."),
    ],
)
def test_instruction(message: str, function: str, request_text: str) -> None:
    assert instruction(message, function) == request_text


def test_is_fix_reads_the_subject_only() -> None:
    assert is_fix("Prevent a crash on exit")
    assert not is_fix("Add a column\n\nThis fixes nothing")
    assert not is_fix("Add a prefix to it")
    assert not is_fix("Remove unneeded nullptr check")
    assert not is_fix("Remove handling of the old form")


@given(st.text(), st.text(max_size=10))
def test_never_fails(message: str, function: str) -> None:
    for rule in (unusable, vague_words, unspecific, multi_words):
        rule(message)
    assert instruction(message, function).endswith(".")

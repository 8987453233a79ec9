"""What the tokens of a changed function tell."""

from __future__ import annotations

import pytest

from cpp_pipeline.extract.changes import MAX_CHANGED_TOKENS, change_of

CODE = "int f(int a, int b) { g(); h(); int c = a - b; return c + 1; }"


@pytest.mark.parametrize(
    ("was", "now", "marks"),
    [
        ("int c", "int  c /* x */", set()),
        ("a - b", "b - a", set()),
        ("h()", "k(a)", set()),
        ("g()", "k()", {"rename", "tiny"}),
        ("a", "b", {"tiny"}),
        ("+ 1", "+ 2", {"literal", "tiny"}),
        ("int f", "static inline int f", {"specifier"}),
        ("int f", "LIBRARY_API int f", {"specifier", "tiny"}),
        ("g();", "x(1, 2, 3); " * 12, {"big"}),
        ("g();", "x(1, 2, 3); " * 40, {"big"}),
    ],
)
def test_marks(was: str, now: str, marks: set[str]) -> None:
    change = change_of(CODE, CODE.replace(was, now, 1))
    found = {m for m in ("rename", "literal", "specifier", "tiny", "big") if getattr(change, f"is_{m}")}
    if change.n_changed_tokens == 0:
        found.discard("tiny")
    assert found == marks


def test_a_swap_of_names_is_no_rename() -> None:
    assert not change_of(CODE, CODE.replace("a - b", "b - a")).is_rename
    assert change_of(CODE, CODE.replace("c", "sum")).is_rename


def test_long_functions_and_many_tokens_are_big() -> None:
    long = CODE.replace("g();", "g(); " * 1_500)
    assert change_of(long, long.replace("+ 1", "- 1")).is_big
    many = CODE.replace("g();", "g(); " * 300)
    assert change_of(many, many.replace("h();", "h(); " * (MAX_CHANGED_TOKENS // 4))).is_big is False
    assert change_of(many, many.replace("h();", "h(); " * (MAX_CHANGED_TOKENS // 4 + 2))).is_big

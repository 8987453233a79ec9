"""Which bytes are code, comments, literals and directives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpp_pipeline.extract.lexical_kernel import kinds

SIGNS = ".cl#"
"""Code, comment, literal, directive."""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a; // b\nc", "...cccc.."),
        ("a; // b\\\nc\nd", "...ccccccc.."),
        ("a /*\n*/ b", "..ccccc.."),
        ("a /*/ b", "..ccccc"),
        ("a / b", "....."),
        ('f("a\\"b", c)', "..llllll...."),
        ("'a' + 'b", "lll....."),
        ("don't", "....."),
        ("1'000'000 'a'", "..........lll"),
        ('u8R"x(a)" )x" b', "...llllllllll.."),
        ('LOGGER"ab" c', "......llll.."),
        ('#define A "b // c" // d\ne', "###################cccc.."),
        ("# define A \\\n b\nc", "###############.."),
        ("#if A /* b\n */ && c\nd", "######cccccccc#####.."),
        ("a #b", "...."),
        ("  #b\n", "..##."),
        ("#error don't\na", "############.."),
    ],
)
def test_kinds(text: str, expected: str) -> None:
    assert "".join(SIGNS[kind] for kind in kinds(text.encode())) == expected


@given(st.lists(st.sampled_from(list("ab1();'/*#\\\n ü\"")), max_size=40).map("".join))
def test_code_behind_a_line_without_open_ends_is_code(text: str) -> None:
    head = kinds(f"{text}\n".encode()).tolist()
    if head[-1] == 0:
        assert kinds(f"{text}\nint a;".encode()).tolist() == [*head, 0, 0, 0, 0, 0, 0]

"""Views of tokens, and similarity."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpp_pipeline.curate.similarity import is_rename, similarity
from cpp_pipeline.curate.tokens import is_identifier, normalised, numbered, symbols, token_sha256, tokens

CODE = "int f(int a) {\n  return a * 2; // twice\n}"


def test_normalised_drops_comments_and_layout() -> None:
    assert normalised(CODE) == "int f ( int a ) { return a * 2 ; }"
    assert normalised("int/**/x") != normalised("intx")


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("#define A 1\nx", "#define A\n1 x"),
        ("#define A(x) x\nA(1)", "#define A (x) x\nA(1)"),
        ("x\n#if B\ny\n#endif\nz", "x\n#if B y\n#endif\nz"),
        ("#define S(x) #x\nS(a+b)", "#define S(x) #x\nS(a + b)"),
        ("%:define A 1\nx", "%:define A\n1 x"),
        ("a // b \\ \nc\nd", "a // b\nc\nd"),
        ("a\\\nb", "a b"),
        ('R"(a\\\nb)"', 'R"(ab)"'),
    ],
)
def test_programs_that_differ_do_not_normalise_alike(left: str, right: str) -> None:
    assert normalised(left) != normalised(right)


def test_layout_around_directives_does_not_count() -> None:
    assert normalised("#define A 1  \n\n  x // y\n;") == normalised("\n #define A 1\nx ;") == "#define A 1\nx ;"
    assert normalised("x\n#undef A\ny") == "x\n#undef A\ny"
    assert normalised("ab\\\nc") == "abc"


@given(st.text())
def test_equal_normal_text_means_equal_hash(text: str) -> None:
    spaced = "\n".join(tokens(text))
    if tokens(spaced) == tokens(text):
        # layout counts around directives, and a continued line may join what the tokens show apart
        assert {"#", "%", "\\"} & set(text) or normalised(spaced) == normalised(text)
        assert token_sha256(spaced) == token_sha256(text)


@pytest.mark.parametrize(
    ("token", "expected"),
    [("a", True), ("_x1", True), ("int", False), ("1", False), ('u8"a"', False), ("'a'", False), ("+", False)],
)
def test_identifiers(token: str, expected: bool) -> None:
    assert is_identifier(token) is expected


def test_names_by_first_use_and_by_symbol() -> None:
    assert numbered(tokens("x = y + x;")) == numbered(tokens("p = q + p;")) != numbered(tokens("p = p + q;"))
    assert symbols(tokens('f(1, "a", u8R"(b)", \'c\');')) == ["$", "(", "0", ",", "0", ",", "0", ",", "0", ")", ";"]


@pytest.mark.parametrize(
    ("a", "b", "value"),
    [
        (CODE, CODE, 1.0),
        (CODE, CODE.replace("\n", " ").replace("// twice", ""), 1.0),
        ("int a = 1;", "int b = 1;", 0.8),
        ("int a = 1;", "int aaaaaaaaaaaaaaaaaaa = 1;", 0.8),
        ("", "", 1.0),
        ("", "a", 0.0),
        ("a", "b", 0.0),
    ],
)
def test_similarity(a: str, b: str, value: float) -> None:
    assert similarity(a, b) == pytest.approx(value)


@given(st.text(max_size=60), st.text(max_size=60))
def test_similarity_is_a_symmetric_share(a: str, b: str) -> None:
    value = similarity(a, b)
    assert 0 <= value <= 1
    assert value == similarity(b, a)
    assert (value == 1) == (tokens(a) == tokens(b))
    assert similarity(a, a) == 1


def test_rename_only() -> None:
    assert is_rename("int a = b + a;", "int x = y + x; // renamed")
    assert not is_rename("int a = b + a;", "int x = x + y;")

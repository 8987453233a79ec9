"""The lexer: traps of C++ text, and what holds for any text."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpp_pipeline.extract.lexer import as_numbers, cyclomatic, token_distance, token_sha256, tokens


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ('s = "http://x";', ["s", "=", '"http://x"', ";"]),
        ("a /* b */ c // d", ["a", "c"]),
        ("a // b \\\n still comment\nc", ["a", "c"]),
        ('R"x(a )" // " )x" b', ['R"x(a )" // " )x"', "b"]),
        ('u8R"(/*)" LR"(q)"', ['u8R"(/*)"', 'LR"(q)"']),
        ('"a\\"b" \'\\\'\' L"c"', ['"a\\"b"', "'\\''", 'L"c"']),
        ("1'000'000 0x1p-3 .5f 1e+9", ["1'000'000", "0x1p-3", ".5f", "1e+9"]),
        ("A<B<C>> x", ["A", "<", "B", "<", "C", ">", ">", "x"]),
        ("a<<=b<=>c->*d...", ["a", "<<=", "b", "<=>", "c", "->*", "d", "..."]),
        ("a\\\n+b", ["a", "+", "b"]),
        ("a // b \\ \t\r\n still comment\nc", ["a", "c"]),
        ("a \\ \t\r\n+b", ["a", "+", "b"]),
        ('"a \\ \n// b" c', ['"a \\ \n// b"', "c"]),
        ("größe = 1", ["größe", "=", "1"]),
        ("/* never closed", []),
        ('R"(never closed', ['R"(never closed']),
        ('"open\nx', ['"', "open", "x"]),
        ("", []),
    ],
)
def test_tokens(code: str, expected: list[str]) -> None:
    assert tokens(code) == expected


def test_hash_sees_tokens_not_layout() -> None:
    assert token_sha256("int a=1; // x") == token_sha256("int a = 1 ;")
    assert token_sha256("a b") != token_sha256("ab")
    assert token_sha256('"a b"') != token_sha256('"ab"')


@given(st.text())
def test_any_text_is_lexed_and_relexed_alike(text: str) -> None:
    parts = tokens(text)
    assert all(parts)
    again = tokens("\n".join(parts))
    # A lone quote or `/` may meet another one on the way back; without them lexing is idempotent.
    if not {'"', "'", "/", "\\"} & set("".join(parts)):
        assert again == parts


@given(st.lists(st.sampled_from("abc")), st.lists(st.sampled_from("abc")))
def test_numbers_keep_equality_and_distance(a: list[str], b: list[str]) -> None:
    x, y = as_numbers(a, b)
    assert [p == q for p in a for q in b] == [p == q for p in x for q in y]
    assert (token_distance(a, b) == 0) == (a == b)
    assert abs(len(a) - len(b)) <= token_distance(a, b) <= max(len(a), len(b))


def test_cyclomatic_counts_decisions() -> None:
    assert cyclomatic(tokens("int f() { return 1; }")) == 1
    assert cyclomatic(tokens('if (a && b) for (;;) ; else c ? 1 : 2; // if\n"if"')) == 5


@pytest.mark.parametrize("piece", ['R"(', '"', "/*", "'", "\\\n", "a<", "//\\\n", "//\\ \n", "\\    ", "\0", 'R"x('])
def test_pathological_text_takes_linear_time(piece: str) -> None:
    started = time.process_time()
    tokens(piece * 100_000)
    assert time.process_time() - started < 2

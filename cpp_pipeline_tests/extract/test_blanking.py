"""Overwriting of macros."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpp_pipeline.extract.blanking import blank as blank_of_kinds
from cpp_pipeline.extract.lexical_kernel import kinds

NAMES = ("API", "MARK(", "LINE(;", "PARAMETER(=int", "ACCESS=public")


def blank(source: bytes, names: tuple[str, ...]) -> bytes:
    return blank_of_kinds(source, kinds(source), names)


@pytest.mark.parametrize(
    ("source", "blanked"),
    [
        ("API int f();", "    int f();"),
        ("int f() API;API", "int f()    ;   "),
        ("APIx xAPI _API API2", "APIx xAPI _API API2"),
        ("API(x)", "   (x)"),
        ("#define API inline \\\n  API\nAPI int x;", "#define API inline \\\n  API\n    int x;"),
        ("  # if API\nAPI", "  # if API\n   "),
        ("// API\n/* API */ API", "// API\n/* API */    "),
        ("/* a /*/ API", "/* a /*/    "),
        ('f("API \\" API", API)', 'f("API \\" API",    )'),
        ("'\"' API '\"'", "'\"'     '\"'"),
        ('R"x(API " )" API )x" API', 'R"x(API " )" API )x"    '),
        ("1'000'000 API 'a'", "1'000'000     'a'"),
        ("#error don't\nAPI", "#error don't\n   "),
        ("don't\nAPI", "don't\n   "),
        ("MARK(a, (b)) int f();", "             int f();"),
        ("MARK (\n  a) int f();", "      \n     int f();"),
        ('MARK(")") int f();', "          int f();"),
        ("MARK int f();", "MARK int f();"),
        ("MARK(a", "MARK(a"),
        ("LINE(a, !=);\nint x;", "           ;\nint x;"),
        ("int y;\n  LINE(a, (b))\nint x;", "int y;\n              \nint x;"),
        ("{\nLINE(a) // why\n/* so */ int x;", "{\n        // why\n/* so */ int x;"),
        ("LINE(a)\n{ }", "LINE(a)\n{ }"),
        ("LINE(a)\n  : b(c) { }", "LINE(a)\n  : b(c) { }"),
        ("int x = LINE(a);", "int x = LINE(a);"),
        ("x =\n  LINE(a);", "x =\n  LINE(a);"),
        ("LINE(a) + 1;", "LINE(a) + 1;"),
        ("LINE(a)\nLINE(b)\nint x;", "       \n       \nint x;"),
        ("UNKNOWN_CALL(a)\nint x;", "               \nint x;"),
        ("UNKNOWN_CALL(a);\nint x;", "UNKNOWN_CALL(a);\nint x;"),
        ("UNKNOWN_CALL(a)\n{ }", "UNKNOWN_CALL(a)\n{ }"),
        ("unknown_call(a)\nint x;", "unknown_call(a)\nint x;"),
        ("template <class T, PARAMETER(!a<T>::b)>", "template <class T, int                >"),
        ("ACCESS:", "public:"),
        ("extern template class A<int>;", "       template class A<int>;"),
        ("extern int x;", "extern int x;"),
    ],
)
def test_overwriting(source: str, blanked: str) -> None:
    assert blank(source.encode(), NAMES).decode() == blanked


def test_nothing_to_overwrite_gives_the_same_object() -> None:
    source = b"int f() { return 1; }"
    assert blank(source, NAMES) is source
    assert blank(b"", ()) == b""


CODE = st.lists(
    st.sampled_from(["API", "MARK", "(", ")", "LINE(a)", ";", "{", "}", "\n", " ", '"', "'", "R\"(", ")\"", "/*", "*/",
                     "//", "#", "\\", "x", "1", "ü", "extern", "template"]),
    max_size=40,
).map("".join)  # fmt: skip


@given(CODE | st.text(max_size=60))
def test_length_and_lines_never_change_and_only_macros_do(text: str) -> None:
    source = text.encode("utf-8", "replace")
    blanked = blank(source, NAMES)
    assert len(blanked) == len(source)
    assert [i for i, b in enumerate(blanked) if b == 10] == [i for i, b in enumerate(source) if b == 10]
    assert all(new in (old, 32) or new in b"intpublic" for old, new in zip(source, blanked, strict=True))


@given(st.lists(st.sampled_from(["API", "APIx", "a", "_", "+", " ", "\n", "9", "ü"]), max_size=30).map("".join))
def test_names_vanish_as_whole_words(text: str) -> None:
    expected = re.sub(r"(?<![\wü])API(?![\wü])", "   ", text)
    assert blank(text.encode(), ("API",)).decode() == expected


def test_raw_strings_that_are_never_closed_cost_one_look() -> None:
    source = b'R"x(' * 500_000
    assert blank(source, ("A",)) == source

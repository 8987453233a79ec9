"""Bounds on parsing: hostile and broken input."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cpp_pipeline.dumps.bundled import SOURCE
from cpp_pipeline.extract.functions import all_functions, complete, read_functions
from cpp_pipeline.extract.parsing import parse_guarded, refusal


def _noise(size: int) -> str:
    return random.Random("noise").randbytes(size).decode("utf-8", "replace")


REFUSED = {
    "one line of declarations": ("int x;" * 300_000, "a line of"),
    "one line of additions": ("int x = " + "1+" * 900_000 + "1;", "a line of"),
    "one string": ('const char* s = "' + "a" * 1_000_000 + '";', "a line of"),
    "table on one line": ("int t[] = {" + "123456, " * 100_000 + "};", "a line of"),
    "long lines": (("int x = " + "1+" * 400 + "1;\n") * 100, "lines of"),
    "open braces": ("{" * 10_000, "nested"),
    "closed braces": ("{" * 10_000 + "}" * 10_000, "nested"),
    "many lines of open braces": ("{{{{\n" * 25_000, "nested 100000 deep"),
    "open parentheses": ("int x = " + "(\n" * 100_000, "nested 100000 deep"),
    "closed parentheses": ("int x = " + "(" * 9_000 + "1" + ")" * 9_000 + ";", "nested"),
    "namespaces": ("namespace a {\n" * 100_000, "nested 100000 deep"),
    "templates": ("a<\n" * 100_000, "nested 100000 deep"),
    "zeros": ("\0" * 1_000_000, "NUL"),
    "too big": ("int x;\n" * 400_000, "2800000 bytes"),
    "random bytes": (_noise(500_000), "binary"),
}
READ = {
    "table of many lines": ("int t[] = {\n" + "1, 2, 3, 4,\n" * 100_000 + "};\n", 0),
    "nested below the bound": ("{\n" * 999 + "}\n" * 999 + "int f() { return 1; }", 1),
    "many functions": ("int f() { return 1; }\n" * 40_000, 40_000),
    "many documented functions": ("/// d\nint f() { return 1; }\n" * 20_000, 20_000),
    "many declarations with comments": ("int f();  ///< d\n" * 50_000, 0),
    "conditions": ("#if A\n" * 100_000 + "int f() { return 1; }", None),
    "else if": ("void f() {" + "if (a) b(); else\n" * 50_000 + "c(); }", 1),
    "line comments": ("/// a\n" * 100_000 + "int f() { return 1; }", 1),
    "trailing comments": ("int a; ///< a\n" + "///< a\n" * 100_000 + "int f() { return 1; }", 1),
    "comment openers": ("/*" * 9_000, 0),
    "unclosed strings": ('"\n' * 100_000, None),
    "capitals after a comment": ("/// d\n" + "A" * 15_000 + "a int f() { return 1; }", None),
    "macros after a comment": ("/// d\n" + "AB C(D)\n" * 50_000 + "x int f() { return 1; }", None),
    "calls that never close": ("ABC(\n" * 900, None),
}


@pytest.mark.parametrize("name", REFUSED)
def test_pathological_input_is_refused_with_its_reason(name: str) -> None:
    text, reason = REFUSED[name]
    assert reason in (read_functions(text, ("AB", "C(")).refused or "")


@pytest.mark.parametrize("name", READ)
def test_pathological_input_that_is_read(name: str) -> None:
    text, count = READ[name]
    facts = read_functions(text, ("AB", "C("), seconds=60, in_full=True)
    assert facts.refused is None
    assert count is None or len(facts.functions) == count


@pytest.mark.parametrize(
    "space", ["\v", "\f", "\x1c", "\x85", "\xa0", "\u1680", "\u2003", "\u2028", "\u2029", "\u3000", "\ufeff"]
)
def test_unicode_spaces(space: str) -> None:
    text = f"/// One{space}two.\nint f() {{{space}return 1;{space}}}\n{space}\n/// Three.\nint g() {{ return 2; }}\n"
    raw = text.encode()
    found = all_functions(text)
    assert [raw[f.start_byte : f.end_byte].decode() for f in found] == [f.code for f in found]
    assert found[0].doc_raw == f"/// One{space}two."
    assert (found[-1].name, found[-1].line, found[-1].doc_raw) == ("g", 5, "/// Three.")


@pytest.mark.parametrize("depth", [50, 400, 999])
def test_nesting_within_bounds_is_read(depth: int) -> None:
    text = "namespace a {\n" * depth + "int f() { return 1; }\n" + "}\n" * depth
    facts = read_functions(text, in_full=True)
    assert facts.refused is None
    assert facts.functions[0].qualified_name == "a::" * depth + "f"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("x" * 20_001, "a line of 20001 bytes"),
        ("int x;\n" * 300_000, "2100000 bytes"),
        ("a\0b", "NUL"),
        ("(" * 1001, "nested 1001 deep"),
        (")" * 5 + "(" * 1001, "nested 1001 deep"),
        ("a<\n" * 1001, "nested 1001 deep"),
        ("\ufffd" * 100, "undecodable"),
    ],
)
def test_refusals_say_why(text: str, why: str) -> None:
    assert why in (refusal(text.encode()) or "")
    assert why in (read_functions(text).refused or "")


def test_ordinary_text_is_not_refused() -> None:
    shifts = "std::cout" + " << x;\nstd::cout" * 2_000 + ";\n"
    assert refusal(shifts.encode()) is None
    assert refusal(("enum E {\n" + "  A,  ///< one\n" * 2_000 + "};\n").encode()) is None
    assert refusal(b"") is None


def test_a_stopped_parse_does_not_leak_into_the_next() -> None:
    slow = ("int f%d() { return (((1))); }\n" * 1000 * 40) % tuple(range(40_000))
    assert parse_guarded(slow.encode(), seconds=0.0) is None
    tree = parse_guarded(b"int y;")
    assert tree is not None
    assert tree.root_node.end_byte == 6
    assert read_functions(slow[:100_000], seconds=0.0).refused is not None


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=400) | st.binary(max_size=400).map(lambda b: b.decode("utf-8", "replace")))
def test_any_text_is_read(text: str) -> None:
    raw = text.encode("utf-8", "replace")
    for f in all_functions(text):
        assert raw[f.start_byte : f.end_byte].decode() == f.code


REAL = sorted(p for p in SOURCE.rglob("*") if p.suffix in (".hpp", ".cpp"))
PIECES = st.sampled_from(
    [*"{}()<>;\"'\n\0ü\u2028", "/*", "*/", "//", "///<", "#if A\n", "#endif\n", "\\\n", "R\"(", "template<", "API",
     "class X {", "operator", "[[", "]]"]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_mutations_of_real_files(data: st.DataObject) -> None:
    """Whatever is cut out, doubled or put in, each text handed back stands at its place in the file."""
    text = data.draw(st.sampled_from(REAL)).read_text()
    for _ in range(data.draw(st.integers(1, 4))):
        at, length = data.draw(st.integers(0, len(text))), data.draw(st.integers(0, 200))
        middle = data.draw(st.sampled_from(["", text[at : at + length] * 2]) | PIECES)
        text = text[:at] + middle + text[at + length :]
    raw = text.encode()
    facts = read_functions(text, ("API",))
    assert facts.refused is None or "\0" in text
    for f in facts.functions:
        assert raw[f.start_byte : f.end_byte].decode() == f.code
        assert raw[: f.start_byte].count(b"\n") + 1 == f.line
        assert f.doc_raw
        assert f.doc_raw in text
        assert f.signature in f.code
        assert f.body in f.code
    for bare in facts.bare:
        whole = complete(bare, text, ("API",))
        assert whole is None or (whole.line, whole.qualified_name) == (bare.line, bare.qualified_name)


FRAGMENTS = st.lists(
    st.sampled_from(
        ["int f()", "{", "}", "(", ")", "<", ">", "class X", "template<", ";", "/** d */", "// c\n", "#if A\n",
         "#endif\n",
         "operator", "::", "namespace", "~X", "=", '"', "R\"(", "\\\n", "friend", "extern \"C\"", "int a", ",", ":"]
    )
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(FRAGMENTS)
def test_any_pieces_of_code_are_read(pieces: list[str]) -> None:
    facts = read_functions(" ".join(pieces), in_full=True)
    assert facts.refused is None
    assert all(f.code.endswith("}") for f in facts.functions)


def test_a_body_that_never_ends_is_no_function() -> None:
    assert all_functions("/// d\nint f() {") == ()

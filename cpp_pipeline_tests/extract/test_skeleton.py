"""Bodies left out of parsing: which, and that nothing else is lost."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cpp_pipeline.extract.functions import Function, all_functions, has_torn_body, read_functions
from cpp_pipeline.extract.lexical_kernel import kinds
from cpp_pipeline.extract.parsing import parser
from cpp_pipeline.extract.skeleton import skeleton
from cpp_pipeline_tests.extract.test_forms import DEFINITIONS, MEMBERS

LONG = "g(1); if (a < b) { while (c) { d = \"}\"; } } /* { */ e('}'); // }\n"


def parsed(text: str) -> str:
    """What the parser is given."""
    source = text.encode()
    given, ranges = skeleton(source, kinds(source))
    return "".join(given[r.start_byte : r.end_byte].decode() for r in ranges) if ranges else text


@pytest.mark.parametrize(
    ("head", "tail"),
    [
        ("int f(int a) {", "}"),
        ("X::X(int a) : a_(a), b_{a}, Base<T>{a} {", "}"),
        ("X::X() try : a_(1) {", "} catch (...) { }"),
        ("bool X::operator()(int a) const noexcept(true) {", "}"),
        ("X& operator=(const X& a) & {", "}"),
        ("auto f(int a = (1), X x = {}) -> std::map<int, decltype(a)> {", "}"),
        ("template <class T, int N = (3 > 2), class = std::enable_if_t<a == b>> void f(T a) {", "}"),
        ("void f(int) MACRO(a) OTHER {", "}"),
        ("void f() __attribute__((noinline)) {", "}"),
        ("std::function<void(int)> f() {", "}"),
        ("REGISTER(a)\nint f(\n#if A\n  int a\n#endif\n) {", "}"),
        ("class X MACRO { X() {", "} };"),
        ("namespace a::b { struct X : Y<decltype(f())> { int f() {", "} }; }"),
        ('extern "C" { int f(void) {', "} }"),
        ("#if A\nint f() {", "}\n#else\nint f(int a) { return a; }\n#endif"),
        ("enum class E : int { A, B }; int f() {", "}"),
    ],
)
def test_bodies_are_left_out(head: str, tail: str) -> None:
    assert parsed(head + LONG + tail) == head + ";" + tail


def test_values_are_left_out() -> None:
    assert parsed("int a[] = {" + "1, " * 40 + "};\nint f();") == "int a[] = {};\nint f();"


@pytest.mark.parametrize(
    "text",
    [
        "class X MACRO(a) : public Y {" + "int a; " * 9 + "};",
        "struct [[nodiscard]] alignas(16) X {" + "int a; " * 9 + "};",
        "namespace a {" + "int a; " * 9 + "}",
        "union U {" + "int a; " * 9 + "};",
        "auto f = [](int a) {" + "g(1); " * 9 + "};",
        "template <class T> concept C = requires(T a) {" + "a.f(); " * 9 + "};",
        "MACRO(a) std::vector<int> v{" + "1, " * 20 + "};",
        "int f() { return 1; }",
        "int f() {" + "g(1); " * 9,
        "#if A\nint f(int a) {\n#else\nint f(long a) {\n#endif\n" + "g(1); " * 9 + "}",
        "int f() {" + "g(1); " * 9 + "\n#if A\n}\n#endif\n",
    ],
)
def test_what_is_no_body_or_no_clear_one_stays(text: str) -> None:
    assert parsed(text) == text


def _long(definition: str) -> str:
    """A definition with a body that is worth leaving out."""
    opening = definition.rindex("{ ") + 1
    return f"{definition[:opening]} {LONG}{definition[opening:]}"


_free = st.sampled_from([_long(text) for text, _ in DEFINITIONS.values() if "{ " in text])
_member = st.sampled_from([_long(text) for text, _ in MEMBERS.values() if "{ " in text])
_doc = st.sampled_from(["", "/// Does it.\n", "/** Does {it}. */\n", '// Does it.\n// Twice; "so.\n'])


def _documented(of: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(st.tuples(_doc, of).map("".join), max_size=4).map("\n\n".join)


_class = _documented(_member).map(lambda body: f"class X : public Y<int> {{\npublic:\n{body}\n}};")
_other = st.sampled_from(["int x[] = {1, 2, 3};", "enum class E { A, B };", "using T = int;", "#define M(a) { a\n"])
_part = st.one_of(_documented(_free), _class, _other)
_nested = st.recursive(
    _part,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda parts: "namespace n {\n" + "\n\n".join(parts) + "\n}")
        | inner.map(lambda text: f"#if A\n{text}\n#else\nint other;\n#endif")
    ),
    max_leaves=6,
)


def _whole(functions: tuple[Function, ...]) -> list[Function]:
    return [replace(function, has_parse_error=False) for function in functions]


@settings(max_examples=150, deadline=None)
@given(st.lists(_nested, max_size=4).map("\n\n".join))
def test_well_formed_code_reads_as_if_nothing_were_left_out(text: str) -> None:
    found, full = read_functions(text), all_functions(text)
    assert _whole(found.functions) == _whole(tuple(f for f in full if f.doc_raw))
    assert [(b.start_byte, b.end_byte, b.qualified_name) for b in found.bare] == [
        (f.start_byte, f.end_byte, f.qualified_name) for f in full if not f.doc_raw
    ]


@given(st.lists(st.sampled_from(["{", "}", "f()", "(", ")", ";", "\n#if A\n", "\n#else\n", "\n#endif\n", ":", "= ", "a",
                                 "[", "<", ">", "template", "operator", '"', "'", "/*", "*/", "class ", "R\"(", "ü",
                                 " " * 40]),
                max_size=60).map("".join) | st.text(max_size=80))  # fmt: skip
def test_any_text_keeps_its_places(text: str) -> None:
    source = text.encode("utf-8", "replace")
    given, ranges = skeleton(source, kinds(source))
    assert len(given) == len(source)
    ends = [0, *(end for r in ranges for end in (r.start_byte, r.end_byte))]
    assert ends == sorted(ends)
    for r in ranges:
        row = source.count(b"\n", 0, r.start_byte)
        assert r.start_point == (row, r.start_byte - source.rfind(b"\n", 0, r.start_byte) - 1)
    outside = [i for r in ranges for i in range(r.start_byte, r.end_byte) if given[i] != source[i]]
    assert all(given[i] == ord(";") and source[i - 1] == ord("{") for i in outside)


def test_thousands_of_bodies_are_parsed_in_time() -> None:
    text = "".join(f"/// Adds.\nint f{i}(int a) {{ {LONG} }}\n" for i in range(5_000))
    found = read_functions(text)
    assert found.refused is None
    assert [f.name for f in found.functions] == [f"f{i}" for i in range(5_000)]


@pytest.mark.parametrize(
    ("code", "is_torn"),
    [
        ("/// Does it.\nint f() { return 1; }", False),
        ("/// Does it.\nint f() { return 1 + ; }", True),
        ("/// Does it.\nX::X() try : a(1) { g(); } catch (...) { }", False),
        ("/// Does it.\nX::X() try : a(1) { g(; } catch (...) { }", True),
        ("/// Does it.\nauto f = [](int a) { return a; };", False),
        ("/// Does it.\nint f() {\n#if A\n  if (a) {\n#else\n  if (b) {\n#endif\n  g(); }\n return 1; }", False),
        ("/// Does it.\nint f() {\n#if A\n  if (a) {\n#else\n  if (b) {\n#endif\n  g(); }\n return 1 + ; }", True),
    ],
)
def test_a_torn_body_is_told(code: str, is_torn: bool) -> None:
    facts = read_functions(code)
    (function,) = facts.functions
    assert (function.has_parse_error or has_torn_body(function, facts.blanked)) == is_torn


def test_the_parser_reads_all_of_the_next_text() -> None:
    read_functions(f"/// Does it.\nint f() {{ {LONG} }}")
    text = b"int f() { return 1; }\n" * 9
    assert parser().parse(text).root_node.end_byte == len(text)
    assert parser().parse(text).root_node.named_child_count == 9

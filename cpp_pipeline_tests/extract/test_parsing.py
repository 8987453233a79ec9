"""Bounds on parsing, and macros."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cpp_pipeline.extract.functions import read_functions
from cpp_pipeline.extract.parsing import MacroDefinitions, blank, parse_guarded, refusal

PATHOLOGICAL = {
    "open braces": "{" * 100_000,
    "closed braces": "{" * 100_000 + "}" * 100_000,
    "open parentheses": "int x = " + "(" * 100_000,
    "namespaces": "namespace a {" * 100_000,
    "templates": "a<" * 100_000,
    "one line": "int x;" * 300_000,
    "conditions": "#if A\n" * 100_000,
    "zeros": "\0" * 1_000_000,
    "too big": "int x;\n" * 400_000,
    "undecodable": random.Random("bytes").randbytes(500_000).decode("utf-8", "replace"),
    "else if": "void f() {" + "if (a) b(); else\n" * 50_000 + "c(); }",
    "comments": "/// a\n" * 100_000 + "int f() { return 1; }",
    "comment openers": "/*" * 100_000,
}


@pytest.mark.parametrize("name", PATHOLOGICAL)
def test_pathological_input_ends_soon(name: str) -> None:
    started = time.process_time()
    read_functions(PATHOLOGICAL[name])
    assert time.process_time() - started < 4


@pytest.mark.parametrize("depth", [50, 400, 999])
def test_nesting_within_bounds_is_read(depth: int) -> None:
    text = "namespace a {\n" * depth + "int f() { return 1; }\n" + "}\n" * depth
    facts = read_functions(text)
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
    for f in read_functions(text).functions:
        assert raw[f.start_byte : f.end_byte].decode() == f.code


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
    facts = read_functions(" ".join(pieces))
    assert facts.refused is None
    assert all(f.code.endswith("}") for f in facts.functions)


def test_a_body_that_never_ends_is_no_function() -> None:
    assert read_functions("/// d\nint f() {").functions == ()


def macros(text: str) -> tuple[str, ...]:
    found = MacroDefinitions()
    found.add(text)
    return found.transparent()


@pytest.mark.parametrize(
    ("definition", "is_transparent"),
    [
        ("#define API", True),
        ("#define API __attribute__((visibility(\"default\")))", True),
        ("#define API __declspec(dllexport)", True),
        ("#define API [[nodiscard]] inline /* why */", True),
        ("#define API inline \\\n  static", True),
        ("#define API namespace a { inline namespace v1 {", True),
        ("#define API }}", True),
        ("#  define API const", True),
        ("#define OTHER inline\n#define API OTHER static", True),
        ("#define API inline\n#define API 1", False),
        ("#define API(x) inline", False),
        ("#define API 1", False),
        ("#define API int", False),
        ("#define API OTHER", False),
    ],
)  # fmt: skip
def test_transparent_macros(definition: str, is_transparent: bool) -> None:
    assert ("API" in macros(definition)) == is_transparent


def test_blank_keeps_offsets_and_directives() -> None:
    source = b"#define API inline \\\n  API\nAPI int APIx();API\n  # if API\n"
    assert blank(source, ("API",)) == b"#define API inline \\\n  API\n    int APIx();   \n  # if API\n"
    assert blank(source, ()) == source


@given(st.text(alphabet="API x\n#\\", max_size=60))
def test_blank_never_changes_length(text: str) -> None:
    source = text.encode()
    assert len(blank(source, ("API", "x"))) == len(source)

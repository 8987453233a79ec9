"""Which functions are found in a file, with which name, parameters and documentation."""

from __future__ import annotations

import pytest

from cpp_pipeline.extract.functions import Function, all_functions, complete, read_functions


def only(text: str) -> Function:
    found = all_functions(text)
    assert len(found) == 1, [f.qualified_name for f in found]
    return found[0]


@pytest.mark.parametrize(
    ("text", "name", "types"),
    [
        ("int f(int a, char) { return a; }", "f", ("int", "char")),
        ("void f(void) { g(); }", "f", ()),
        ('extern "C" int f() { return 1; }', "f", ()),
        ('extern "C" {\nint f() { return 1; }\n}', "f", ()),
        ("namespace a::b { inline namespace v1 { int f() { return 1; } } }", "a::b::v1::f", ()),
        ("namespace { int f() { return 1; } }", "f", ()),
        ("class X { int f() const { return 1; } };", "X::f", ()),
        ("struct X { struct Y { int f() { return 1; } }; };", "X::Y::f", ()),
        ("struct X { X(int a) : a_(a) { g(); } int a_; };", "X::X", ("int",)),
        ("struct X { ~X() { g(); } };", "X::~X", ()),
        ("X::X() { g(); }", "X::X", ()),
        ("X::~X() { g(); }", "X::~X", ()),
        ("struct X { bool operator==(const X& o) const { return 1; } };", "X::operator==", ("const X&",)),
        ("struct X { explicit operator bool() const { return 1; } };", "X::operator bool", ()),
        ("X::operator bool() const { return 1; }", "X::operator bool", ()),
        ("std::ostream& operator<<(std::ostream& o, X x) { return o; }", "operator<<", ("ostream&", "X")),
        ("template <typename T> void A<T>::m(T t) { g(t); }", "A::m", ("T",)),
        ("template <class T> struct A { template <class U> U m(U&& u) { return u; } };", "A::m", ("U&&",)),
        ("template <> int f<int>() { return 1; }", "f", ()),
        ("auto f(int a) -> int { return a; }", "f", ("int",)),
        ("int* f(int (*cb)(int), int a[3], int d = 4) { return 0; }", "f", ("int(*)(int)", "int[3]", "int")),
        ("void (*f(int a))(int) { return 0; }", "f", ("int",)),
        ("[[nodiscard]] static int f(const struct S* s) { return 1; }", "f", ("const S*",)),
        ("struct X { friend bool operator<(X a, X b) { return 1; } };", "X::operator<", ("X", "X")),
        ("struct Z { int f() { return 1; } } z;", "Z::f", ()),
        ("int f(std::vector<std::pair<int, int>> v) { return 1; }", "f", ("vector<pair<int,int>>",)),
    ],
)
def test_kinds_of_functions(text: str, name: str, types: tuple[str, ...]) -> None:
    function = only(text)
    assert (function.qualified_name, function.parameter_types) == (name, types)
    assert function.name == name.rsplit("::", maxsplit=1)[-1]
    assert not function.has_parse_error


@pytest.mark.parametrize(
    "text",
    [
        "int f();",
        "TEST(A, B) { int x; }",
        "struct X { X() = default; X(int) = delete; virtual int f() = 0; };",
        "int x = 1;",
        "#define F int f() { return 1; }",
    ],
)
def test_no_function(text: str) -> None:
    assert all_functions(text) == ()


def test_local_functions_are_not_functions_of_the_file() -> None:
    assert only("int f() { struct L { int g() { return 1; } }; return L().g(); }").name == "f"


def test_both_branches_of_a_condition_once_each() -> None:
    text = "#if A\nint f() { return 1; }\n#elif B\nint g() { return 1; }\n#else\nint h() { return 1; }\n#endif\n"
    assert [f.name for f in all_functions(text)] == ["f", "g", "h"]


@pytest.mark.parametrize(
    ("before", "doc"),
    [
        ("/// Adds.\n", "/// Adds."),
        ("// one\n// two\n", "// one\n// two"),
        ("/** Adds. */\n", "/** Adds. */"),
        ("/* Adds. */ ", "/* Adds. */"),
        ("//! Adds.\n", "//! Adds."),
        ("/// Adds.\ntemplate <class T>\n", "/// Adds."),
        ("/// Adds.\n[[nodiscard]] ", "/// Adds."),
        ("/// Adds.\nEXPORT_API\n", "/// Adds."),
        ("/* licence */\n/** Adds. */\n", "/** Adds. */"),
        ("// ---- section ----\n/// Adds.\n", "/// Adds."),
        ("// x\n\n// Adds.\n", "// Adds."),
        ("/// Adds.\n\n", ""),
        ("int x; // the x\n", ""),
        ("int x; ///< the x\n", ""),
        ("///< the x\n", ""),
        ("/// Adds.\n#define Q 1\n", ""),
        ("/// Adds.\nint x;\n", ""),
        ("", ""),
    ],
)
def test_doc_directly_before(before: str, doc: str) -> None:
    function = only(before + "int add(int a, int b) { return a + b; }")
    assert function.doc_raw == doc


def test_text_is_as_written_and_macros_stay() -> None:
    text = (
        "#include <vector>\nnamespace a {\nclass X {\n public:\n"
        "  /// Doc.\n  API int f(int x) {\n    return x;\n  }\n};\n}\n"
    )
    function = all_functions(text, ("API",))[0]
    assert function.signature == "API int f(int x)"
    assert function.body == "\n    return x;\n  "
    assert function.code == "API int f(int x) {\n    return x;\n  }"
    assert (function.line, function.end_line, function.doc_line) == (6, 8, 5)
    assert function.context == "#include <vector>\nnamespace a {\nclass X {\n"
    raw = text.encode()
    assert raw[function.start_byte : function.end_byte].decode() == function.code


def test_class_after_an_export_macro_is_a_class_when_blanked() -> None:
    text = "class API X : public Y {\n  /// Doc of f.\n  int f() { return 1; }\n};"
    assert all_functions(text, ("API",))[0].qualified_name == "X::f"


def test_declarations_with_documentation() -> None:
    text = "/// One.\nint f(int a = 1);\nint g();\nstruct X {\n  /// Two.\n  ~X();\n  /// Three.\n  int v;\n};"
    found = read_functions(text).declarations
    assert [(d.qualified_name, d.parameter_types, d.doc_raw, d.doc_line) for d in found] == [
        ("f", ("int",), "/// One.", 1),
        ("X::~X", (), "/// Two.", 5),
    ]


def test_error_inside_is_told_and_others_are_still_found() -> None:
    text = "int f() { return (1; }\n\n/// Good one.\nint g() { return 2; }\n"
    found = {f.name: f for f in all_functions(text)}
    assert found["f"].has_parse_error
    assert not found["g"].has_parse_error
    assert found["g"].doc_raw == "/// Good one."


def test_unicode_offsets() -> None:
    function = only("// ü\n/// Größe €.\nint größe() { return 1; /* € */ }")
    assert (function.name, function.doc_raw) == ("größe", "/// Größe €.")
    assert function.body == " return 1; /* € */ "


def test_an_overload_without_comment_is_handed_on_beside_the_documented_one() -> None:
    text = """
class X {
  /// Adds one.
  bool operator==(const X& o) const;
  bool operator==(int o) &&;
  /// Adds two.
  int f(int a) const volatile;
  int f(long a);
  int g(long a);
};
"""
    found = read_functions(text).declarations
    assert [(d.name, d.parameter_types, d.qualifiers, d.doc_raw, d.doc_line) for d in found] == [
        ("operator==", ("const X&",), "const", "/// Adds one.", 3),
        ("operator==", ("int",), "&&", "", 5),
        ("f", ("int",), "const volatile", "/// Adds two.", 6),
        ("f", ("long",), "", "", 8),
    ]


def test_what_is_known_of_a_bare_function() -> None:
    text = "struct X {\n  int f() const { return 1; }\n};\nnamespace {\nint g() { return (1; }\n}\n"
    text += "int X::h() { return 1; }\n"
    f, g, h = read_functions(text).bare
    assert [(b.is_in_class, b.is_anonymous, b.has_parse_error, b.line) for b in (f, g, h)] == [
        (True, False, False, 2),
        (False, True, True, 5),
        (False, False, False, 7),
    ]
    assert [text[b.body_start] for b in (f, g, h)] == ["{"] * 3
    whole = [complete(b, text) for b in (f, g, h)]
    assert tuple(whole) == all_functions(text)
    assert [w.qualifiers for w in whole if w is not None] == ["const", "", ""]

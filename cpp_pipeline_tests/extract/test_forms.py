"""One case for each form in which C++ writes a function, a comment or something between them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cpp_pipeline.extract.functions import all_functions, complete, read_functions

DEFINITIONS = {
    "free": ("int f(int a) { return a; }", "f"),
    "static inline": ("static inline int f() { return 1; }", "f"),
    "constexpr": ("constexpr int f() { return 1; }", "f"),
    "consteval": ("consteval int f() { return 1; }", "f"),
    "noexcept": ("int f() noexcept(sizeof(int) == 4) { return 1; }", "f"),
    "trailing return": ("auto f() -> std::vector<int> { return {}; }", "f"),
    "decltype(auto)": ("decltype(auto) f() { return g(); }", "f"),
    "template": ("template <typename T, int N = 3>\nT f(T a) { return a; }", "f"),
    "specialisation": ("template <>\nint f<int>(int a) { return a; }", "f"),
    "requires clause": ("template <typename T>\n  requires std::integral<T>\nT f(T a) { return a; }", "f"),
    "trailing requires": ("template <typename T> T f(T a) requires C<T> { return a; }", "f"),
    "constrained auto": ("std::integral auto f(std::integral auto a) { return a; }", "f"),
    "coroutine": ("task<int> f() { co_await g(); co_return 1; }", "f"),
    "function try block": ("int f() try { return g(); } catch (...) { return 1; }", "f"),
    "attribute": ("[[nodiscard, gnu::pure]] int f() { return 1; }", "f"),
    "attribute behind": ("int f [[gnu::cold]] () { return 1; }", "f"),
    "alignas": ("int f(alignas(16) int a) { return a; }", "f"),
    "pointer to function result": ("void (*f(int a))(int) { return nullptr; }", "f"),
    "name in parentheses": ("int (max)(int a, int b) { return a; }", "max"),
    "default argument": ('int f(std::string a = "){") { return 1; }', "f"),
    "variadic": ("template <class... A> void f(A&&... a) { g(std::forward<A>(a)...); }", "f"),
    "C struct argument": ("int f(const struct s *a, unsigned n) { return n; }", "f"),
    "C without arguments": ("int f(void) { return 1; }", "f"),
    'extern "C"': ('extern "C" int f() { return 1; }', "f"),
    "literal operator": ('long operator""_km(unsigned long long a) { return a; }', 'operator""_km'),
    "operator outside": ("bool operator<(const X& a, const X& b) { return true; }", "operator<"),
    "method outside": ("int a::X::f() const& { return 1; }", "a::X::f"),
    "method of template": ("template <class T>\nint X<T>::f() { return 1; }", "X::f"),
    "member template of template": ("template <class T>\ntemplate <class U>\nint X<T>::f(U u) { return 1; }", "X::f"),
    "constructor outside": ("X::X(int a) : a_(a), b_{a} { g(); }", "X::X"),
    "constructor try block": ("X::X() try : a_(1) { g(); } catch (...) { }", "X::X"),
    "destructor outside": ("X::~X() { g(); }", "X::~X"),
    "conversion outside": ("X::operator bool() const { return true; }", "X::operator bool"),
    "conversion to pointer": ("X::operator const char*() const { return p; }", "X::operator const char*"),
    "lambda": ("auto f = [](int a) { return a; };", "f"),
    "lambda constant": ("inline constexpr auto f = [=](auto a) mutable -> int { return a; };", "f"),
    "lambda without arguments": ("const auto f = [] { return 1; };", "f"),
}
MEMBERS = {
    "method": ("int f() const override { return 1; }", "f"),
    "virtual": ("virtual int f() final { return 1; }", "f"),
    "static member": ("static int f() { return 1; }", "f"),
    "constructor": ("X(int a) : a_(a) { g(); }", "X"),
    "explicit constructor": ("explicit X(int a) { g(a); }", "X"),
    "conditionally explicit": ("explicit(sizeof(int) > 2) X(int a) { g(a); }", "X"),
    "template constructor": ("template <class T> X(T a) : a_(a) { g(); }", "X"),
    "destructor": ("virtual ~X() { g(); }", "~X"),
    "assignment": ("X& operator=(X&& o) noexcept { return *this; }", "operator="),
    "call": ("int operator()(int a) const { return a; }", "operator()"),
    "subscript": ("int& operator[](std::size_t i) { return a_[i]; }", "operator[]"),
    "spaceship": ("auto operator<=>(const X& o) const { return 0; }", "operator<=>"),
    "new": ("void* operator new(std::size_t n) { return g(n); }", "operator new"),
    "co_await": ("auto operator co_await() { return g(); }", "operator co_await"),
    "conversion": ("explicit operator bool() const { return true; }", "operator bool"),
    "template conversion": ("template <class T> operator T() const { return T(); }", "operator T"),
    "friend": ("friend bool operator==(const X& a, const X& b) { return true; }", "operator=="),
    "friend template": ("template <class T> friend void swap(T& a, X& b) { g(a, b); }", "swap"),
    "lambda member": ("static constexpr auto f = [](int a) { return a; };", "f"),
}
COMMENTS = {
    "///": "/// Says what.\n",
    "/// lines": "/// Says what.\n///\n/// @param a one\n",
    "//!": "//! Says what.\n",
    "/** */": "/** Says what. */\n",
    "/** */ block": "/**\n * Says what.\n * @return it\n */\n",
    "/*! */": "/*! Says what. */\n",
    "//": "// Says what.\n// And more.\n",
    "/* */": "/* Says what. */\n",
    "same line": "/** Says what. */ ",
}
BETWEEN = {
    "nothing": "",
    "attribute": "[[nodiscard]]\n",
    "macro": "EXPORT_API\n",
    "macro with arguments": "DEPRECATED(3, other(1))\n",
    "macro with arguments, same line": "DEPRECATED(3, y) ",
    "both": "[[nodiscard]] EXPORT_API ",
}


@pytest.mark.parametrize("comment", COMMENTS)
@pytest.mark.parametrize("form", DEFINITIONS)
def test_definition(form: str, comment: str) -> None:
    text, name = DEFINITIONS[form]
    found = read_functions(f"int before;\n\n{COMMENTS[comment]}{text}\n\nint after;\n")
    assert [f.qualified_name for f in found.functions] == [name]
    assert found.functions[0].code == text
    assert found.functions[0].doc_raw == COMMENTS[comment].strip()
    assert not found.functions[0].has_parse_error
    assert found.bare == ()


@pytest.mark.parametrize("form", MEMBERS)
def test_member(form: str) -> None:
    text, name = MEMBERS[form]
    found = read_functions(f"namespace n {{\nclass X {{\n public:\n  /// Says what.\n  {text}\n}};\n}}\n")
    assert [f.qualified_name for f in found.functions] == [f"n::X::{name}"]
    assert found.functions[0].code == text
    assert found.functions[0].context == "namespace n {\nclass X {\n"
    assert not found.functions[0].has_parse_error


@pytest.mark.parametrize("between", BETWEEN)
@pytest.mark.parametrize("place", ["file", "class"])
def test_between_comment_and_function(between: str, place: str) -> None:
    before, after = ("", "") if place == "file" else ("class X {\n", "};\n")
    text = f"{before}/// Says what.\n{BETWEEN[between]}int f() {{ return 1; }}\n{after}"
    (found,) = read_functions(text, ("EXPORT_API", "DEPRECATED(")).functions
    assert found.doc_raw == "/// Says what."
    assert found.code == f"{BETWEEN[between]}int f() {{ return 1; }}"
    assert not found.has_parse_error


@pytest.mark.parametrize(
    ("text", "docs"),
    [
        ("int f() { return 1; } ///< Says what.\nint g() { return 2; }", {"f": "///< Says what."}),
        ("int f() { return 1; } //!< Says\n  //!< what.\n", {"f": "//!< Says\n  //!< what."}),
        ("int f() { return 1; } /**< Says what. */", {"f": "/**< Says what. */"}),
        ("int f() {\n  return 1;\n} /*!< Says what. */", {"f": "/*!< Says what. */"}),
        ("/// First.\nint f() { return 1; } ///< Second.", {"f": "/// First."}),
        ("int f() { return 1; }\n///< Next line.\nint g() { return 2; }", {}),
        ("int f() { return 1; } // Plain remark.\nint g() { return 2; }", {}),
        ("int v; ///< Of v.\nint g() { return 2; }", {}),
    ],
)
def test_comments_behind(text: str, docs: dict[str, str]) -> None:
    found = read_functions(text)
    assert {f.name: f.doc_raw for f in found.functions} == docs
    assert len(found.functions) + len(found.bare) == text.count("return")


def test_declarations_with_comments_behind() -> None:
    text = "struct X {\n  int f(int);  ///< Of f.\n  int v;  ///< Of v.\n  int g();\n};\n"
    assert [(d.name, d.doc_raw, d.doc_line) for d in read_functions(text).declarations] == [("f", "///< Of f.", 2)]


@pytest.mark.parametrize(
    "text",
    [
        "TEST(A, B) { int x; }",
        "struct X { X() = default; X(int) = delete; virtual int f() = 0; };",
        "int a[] = {1, 2};",
        "auto x = g([](int a) { return a; });",
        "#define F int f() { return 1; }",
        "template <class T> concept C = requires(T t) { t.f(); };",
    ],
)
def test_what_is_no_function(text: str) -> None:
    found = read_functions(f"/// Says what.\n{text}\n")
    assert (found.functions, found.bare) == ((), ())


def test_conditions() -> None:
    text = """
#if A
/// F.
int f() { return 1; }
#elif B
/// G.
int g() { return 1; }
#else
#ifdef C
/// H.
int h() { return 1; }
#endif
#endif
"""
    found = read_functions(text).functions
    assert [(f.name, f.doc_raw, f.line) for f in found] == [("f", "/// F.", 4), ("g", "/// G.", 7), ("h", "/// H.", 11)]


ALL = sorted({**DEFINITIONS, **MEMBERS}.items())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(ALL), min_size=1, max_size=6), st.booleans())
def test_bare_functions_complete_to_what_a_full_reading_gives(
    forms: list[tuple[str, tuple[str, str]]], deep: bool
) -> None:
    texts = [text for name, (text, _) in forms if (name in MEMBERS) == deep]
    body = "\n".join(f"  {text}" for text in texts)
    text = f"#include <a>\nnamespace n {{\nstruct X {{\n{body}\n}};\n}}\n" if deep else f"#include <a>\n{body}\n"
    found = read_functions(text)
    assert found.functions == ()
    assert tuple(complete(bare, text) for bare in found.bare) == all_functions(text)
    assert len(found.bare) == len(texts)

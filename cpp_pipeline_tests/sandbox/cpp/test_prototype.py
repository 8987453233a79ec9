"""Prototypes and the preamble's structs: what is read, and why the rest is refused."""

from __future__ import annotations

import pytest

from cpp_pipeline.sandbox.cpp.cpptypes import MAX_DEPTH
from cpp_pipeline.sandbox.cpp.prototype import parse_prototype, parse_signature
from cpp_pipeline_tests.sandbox.judging.frames import kind_of


@pytest.mark.parametrize(
    ("text", "returned", "params"),
    [
        ("int f()", "int", []),
        ("void f(void);", "void", []),
        ("bool f(char c, const std::string& s)", "bool", ["char", "std::string"]),
        ("unsigned long long f(long int a, uint8_t b)", "unsigned long long", ["long", "std::uint8_t"]),
        (
            "std::vector<std::pair<int, double>> f(std::vector<std::vector<long>> & grid) {",
            "std::vector<std::pair<int, double>>",
            ["std::vector<std::vector<long>>"],
        ),
        ("map<string, vector<int>> f(std::size_t)", "std::map<std::string, std::vector<int>>", ["std::size_t"]),
        ("optional<tuple<int,bool>> f(set<int> const& s);", "std::optional<std::tuple<int, bool>>", ["std::set<int>"]),
        (
            "std::array<list<int>, 0x1'0> f(deque<long double> const d, ::std::multimap<char, unsigned> m)",
            "std::array<std::list<int>, 16>",
            ["std::deque<long double>", "std::multimap<char, unsigned int>"],
        ),
        (
            "static inline const int8_t& f(unordered_set<ptrdiff_t>, multiset<bool> /* keys */) noexcept",
            "std::int8_t",
            ["std::unordered_set<std::ptrdiff_t>", "std::multiset<bool>"],
        ),
    ],
)
def test_prototype_is_parsed(text: str, returned: str, params: list[str]) -> None:
    prototype = parse_prototype(text)
    assert prototype.name == "f"
    assert prototype.text == text
    assert str(prototype.return_type) == returned
    assert [str(kind) for kind, _ in prototype.params] == params


def test_how_parameters_are_taken() -> None:
    strings = "std::string_view e, const string_view& g, char const* h"
    prototype = parse_prototype(f"int f(int a, const int& b, int& c, int&& d, {strings}, int const& i)")
    assert prototype.passing == ("value", "const &", "&", "&&", "view", "view", "text", "const &")
    assert prototype.references == (False, False, True, False, False, False, False, False)
    assert [name for _, name in prototype.params] == list("abcdeghi")
    assert {str(kind) for kind, _ in prototype.params[4:7]} == {"std::string"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "ends too early"),
        ("int", "ends too early"),
        ("int f", "ends too early"),
        ("int f(", "ends too early"),
        ("int f(int a) extra", "unexpected 'extra'"),
        ("int f(int a = 3)", "default arguments"),
        ("int f(int* p)", "pointers"),
        ("int f(char* p)", "pointers"),
        ("int f(int p[])", "unexpected|expected"),
        ("const char* f()", "pointers"),
        ("std::string_view f()", "'string_view' is not supported; supported are bool"),
        ("int f(std::string_view& s)", "not supported"),
        ("int f(std::vector<std::string_view> s)", "'string_view' is not supported"),
        ("int f(T x)", "type 'T' is not supported; supported are bool"),
        ("int f(wchar_t x)", "type 'wchar_t' is not supported"),
        ("int f(std::any x)", "type 'any' is not supported"),
        ("auto f(int x) -> int", "type 'auto' is not supported"),
        ("int f(void x)", "type 'void' is not supported"),
        ("int f(std::array<int, 0> x)", "length"),
        ("int f(std::array<int, N> x)", "length"),
        ("int f(std::array<std::array<int, 100>, 100> x)", "more than 4096 values"),
        ("int f(std::tuple<> x)", "not supported"),
        ("int f(std::set<int, std::greater<int>> x)", "'greater' is not supported"),
        ("int f(std::map<int> x)", r"takes 2 argument\(s\), found 1"),
        ("int f(std::unordered_set<std::vector<int>> x)", "no std::hash"),
        ("int f(std::map<std::unordered_set<int>, int> x)", "no operator<"),
        ("#define X\nint f()", "preamble"),
        (r'int f(R"x(', "raw string"),
    ],
)
def test_unsupported_prototype_is_refused_with_its_reason(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=f"(?s)signature.*({why})"):
        parse_prototype(text)


def test_a_signature_returns_something() -> None:
    assert parse_signature("int f(std::vector<int>& v)").references == (True,)
    with pytest.raises(ValueError, match="returns nothing"):
        parse_signature("void f(std::vector<int>& v)")


def test_types_are_nested_to_a_bound() -> None:
    deepest = "std::vector<" * MAX_DEPTH + "int" + ">" * MAX_DEPTH
    assert str(kind_of(deepest)) == deepest
    for levels in (MAX_DEPTH + 1, 10_000):
        with pytest.raises(ValueError, match="nested deeper"):
            parse_prototype("int f(" + "std::vector<" * levels + "int" + ">" * levels + " x)")


@pytest.mark.parametrize(
    ("preamble", "form"),
    [
        ("struct P { int x, y = 3; };", {"x": "int", "y": "int"}),
        ('class P { public: std::string s{"};"}; public: bool b; };', {"s": "std::string", "b": "bool"}),
        (
            "#include <vector>\nusing Row = std::vector<int>;\nstruct P { std::vector<Row> rows; };",
            {"rows": "std::vector<std::vector<int>>"},
        ),
        (
            "typedef long long ll; // 64 bits\nstruct Q { ll x; };\nstruct P { std::map<int, Q> q = {{1, {2}}}; };",
            {"q": "std::map<int, Q>"},
        ),
    ],
)
def test_structs_of_the_preamble_are_types(preamble: str, form: dict[str, str]) -> None:
    kind = parse_prototype("P f(const std::vector<P>& x)", preamble).return_type
    assert (str(kind), dict(zip(kind.fields, map(str, kind.args), strict=True))) == ("P", form)


@pytest.mark.parametrize(
    ("preamble", "why"),
    [
        ("", "type 'P' is not supported"),
        ("namespace a { struct P { int x; }; }", "type 'P' is not supported"),
        ("enum class P { a };", "type 'P' is not supported"),
        ("struct Q {}; struct P : Q { int x; };", "base"),
        ("class P { int x; };", "private members"),
        ("struct P { private: int x; };", "private members"),
        ("struct P { int x; P(int y); };", "constructors"),
        ("struct P { int x; int twice() const { return 2 * x; } };", "member functions"),
        ("struct P { int x; bool operator==(const P& o) const; };", "operators"),
        ("struct P { int x[3]; };", "C arrays"),
        ("struct P { int x : 3; };", "bit fields"),
        ("struct P { int* x; };", "pointers"),
        ("struct P { const int x; };", "const members"),
        ("struct P { static int x; };", "static members"),
        ("struct P { std::vector<P> x; };", "contains itself"),
        ("struct P {};", "no members"),
        ("template <class T> struct P { T x; };", "template"),
        ("#define ll long long\nstruct P { ll x; };", "macro ll"),
        ("#if 0\nstruct P { int x; };\n#endif", "#if"),
        ("struct P { int x", "ends too early"),
        ("using P = int*;", "more than int"),
        ("".join(f"struct P{i} {{ P{i + 1} x; }};" for i in range(900)) + "using P = P0;", "nested deeper"),
        ("struct Q { int x; }; struct P { std::set<Q> x; };", "no operator<"),
    ],
)
def test_other_structs_are_refused_with_the_reason(preamble: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_prototype("int f(P x)", preamble)


def test_a_preamble_that_cannot_be_read_hides_no_standard_type() -> None:
    assert (
        parse_prototype("vector<int> f(string s)", "#if 1\n#include <vector>\nusing namespace std;\n#endif").name == "f"
    )

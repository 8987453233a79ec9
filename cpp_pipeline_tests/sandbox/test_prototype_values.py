"""Signatures and the wire format, without a compiler."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpp_pipeline.sandbox.prototype import CppType, parse_signature
from cpp_pipeline.sandbox.values import FRAME_CAP, WireError, decode, encode, equal, normalise, to_json


@pytest.mark.parametrize(
    ("text", "returned", "params"),
    [
        ("int f()", "int", []),
        ("bool f(char c, const std::string& s)", "bool", ["char", "std::string"]),
        ("unsigned long long f(long int a, uint8_t b)", "unsigned long long", ["long", "std::uint8_t"]),
        (
            "std::vector<std::pair<int, double>> f(std::vector<std::vector<long>> & grid) {",
            "std::vector<std::pair<int, double>>",
            ["std::vector<std::vector<long>>"],
        ),
        ("map<string, vector<int>> f(std::size_t)", "std::map<std::string, std::vector<int>>", ["std::size_t"]),
        ("optional<tuple<int,bool>> f(set<int> const& s);", "std::optional<std::tuple<int, bool>>", ["std::set<int>"]),
    ],
)
def test_signature_is_parsed(text: str, returned: str, params: list[str]) -> None:
    prototype = parse_signature(text)
    assert prototype.name == "f"
    assert str(prototype.return_type) == returned
    assert [str(kind) for kind, _ in prototype.params] == params


@pytest.mark.parametrize(
    "text",
    ["", "int", "int f", "int f(", "void f()", "int f(int* p)", "int f(T x)", "int f(int a) extra", "int f(int&& a)"],
)
def test_unsupported_signature_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(ValueError, match="signature"):
        parse_signature(text)


INT = CppType("int")
_LEAVES: dict[str, st.SearchStrategy[object]] = {
    "bool": st.booleans(),
    "char": st.characters(max_codepoint=255),
    "int": st.integers(-(2**31), 2**31 - 1),
    "unsigned long": st.integers(0, 2**64 - 1),
    "double": st.floats(allow_nan=False, allow_infinity=False),
    "std::string": st.text(max_size=12),
}


def _typed(depth: int) -> st.SearchStrategy[tuple[CppType, object]]:
    leaf = st.sampled_from(sorted(_LEAVES)).flatmap(lambda n: st.tuples(st.just(CppType(n)), _LEAVES[n]))
    if depth == 0:
        return leaf
    inner = _typed(depth - 1)
    pairs = st.tuples(inner, inner).map(lambda ab: (CppType("std::pair", (ab[0][0], ab[1][0])), [ab[0][1], ab[1][1]]))
    vectors = st.tuples(inner, st.integers(0, 3)).map(
        lambda pair: (CppType("std::vector", (pair[0][0],)), [pair[0][1]] * pair[1])
    )
    maybe = st.tuples(inner, st.booleans()).map(
        lambda pair: (CppType("std::optional", (pair[0][0],)), pair[0][1] if pair[1] else None)
    )
    return st.one_of(leaf, pairs, vectors, maybe)


@given(_typed(3))
def test_what_is_encoded_comes_back(typed: tuple[CppType, object]) -> None:
    kind, value = typed
    assert decode(kind, encode(kind, value)) == value
    assert equal(kind, decode(kind, encode(kind, value)), value)


@given(_typed(2), st.binary(max_size=60))
def test_decoder_gives_a_value_or_a_wire_error(typed: tuple[CppType, object], data: bytes) -> None:
    kind, _ = typed
    try:
        value = decode(kind, data)
    except WireError:
        return
    assert equal(kind, decode(kind, encode(kind, value)), value)


@given(_typed(2), st.binary(min_size=1, max_size=4))
def test_bytes_after_a_value_are_refused(typed: tuple[CppType, object], more: bytes) -> None:
    kind, value = typed
    with pytest.raises(WireError):
        decode(kind, encode(kind, value) + more)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (CppType("std::vector", (CppType("bool"),)), b"\xff\xff\xff\xff" + b"\1" * 8),
        (CppType("std::string"), b"\x10\0\0\0abc"),
        (CppType("bool"), b"\2"),
        (INT, (2**31).to_bytes(8, "little")),
        (INT, b"\0" * 7),
        (CppType("std::string"), b"\0" * (FRAME_CAP + 1)),
    ],
)
def test_bounds_of_the_decoder(kind: CppType, data: bytes) -> None:
    with pytest.raises(WireError):
        decode(kind, data)


@pytest.mark.parametrize(
    ("kind", "value"),
    [(INT, True), (INT, 2**31), (INT, 1.0), (CppType("char"), "ab"), (CppType("std::string"), 1), (INT, None)],
)
def test_json_that_does_not_fit_the_type_is_refused(kind: CppType, value: object) -> None:
    with pytest.raises(ValueError, match="is not a value of"):
        encode(kind, value)


def test_floats_compare_within_tolerance_and_nan_equals_nan() -> None:
    double = CppType("double")
    assert equal(double, 1e9, 1e9 + 100)
    assert not equal(double, 1.0, 1.00001)
    assert equal(double, math.nan, normalise(double, "nan"))
    assert not equal(double, math.nan, 0.0)
    assert to_json([math.inf, -math.inf, math.nan]) == ["inf", "-inf", "nan"]


def test_sets_and_maps_compare_without_order() -> None:
    kind = CppType("std::unordered_map", (INT, CppType("std::string")))
    assert normalise(kind, [[2, "b"], [1, "a"]]) == [[1, "a"], [2, "b"]]
    assert normalise(CppType("std::set", (INT,)), [3, 1, 2]) == [1, 2, 3]


def test_bytes_that_are_not_utf8_never_equal_their_escape() -> None:
    kind = CppType("std::string")
    value = decode(kind, b"\1\0\0\0\xff")
    assert to_json(value) == "\\xff"
    assert not equal(kind, value, "\\xff")

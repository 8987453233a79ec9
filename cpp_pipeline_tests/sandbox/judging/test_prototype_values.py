"""JSON tests of a prototype and the wire format, without a compiler."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpp_pipeline.sandbox.cpp.prototype import CppType, Prototype, parse_prototype
from cpp_pipeline.sandbox.judging.values import (
    FRAME_CAP,
    WireError,
    decode,
    decode_reply,
    encode,
    encode_arguments,
    equal,
    expected_after,
    expected_result,
    normalise,
    to_json,
)
from cpp_pipeline_tests.sandbox.judging.frames import PREAMBLE, TYPES, kind_of, value_of

_KINDS = [kind_of(text) for text in TYPES]


@given(st.sampled_from(_KINDS), st.integers(0, 2**64))
def test_what_is_encoded_comes_back(kind: CppType, seed: int) -> None:
    value = value_of(kind, random.Random(seed))
    found = decode(kind, encode(kind, value))
    assert equal(kind, found, normalise(kind, value))
    assert encode(kind, to_json(found)) == encode(kind, found) or "\\x" in json.dumps(to_json(found))


@given(st.sampled_from(_KINDS), st.integers(0, 2**64), st.binary(min_size=1, max_size=4))
def test_bytes_after_a_value_are_refused(kind: CppType, seed: int, more: bytes) -> None:
    with pytest.raises(WireError):
        decode(kind, encode(kind, value_of(kind, random.Random(seed))) + more)


@given(st.sampled_from(_KINDS), st.binary(max_size=60))
def test_decoder_gives_a_value_or_a_wire_error(kind: CppType, data: bytes) -> None:
    try:
        value = decode(kind, data)
    except WireError:
        return
    assert equal(kind, decode(kind, encode(kind, value)), value)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("std::vector<bool>", b"\xff\xff\xff\xff" + b"\1" * 8),
        ("std::string", b"\x10\0\0\0abc"),
        ("bool", b"\2"),
        ("std::optional<bool>", b"\2\1"),
        ("int", (2**31).to_bytes(8, "little")),
        ("int", b"\0" * 7),
        ("unsigned char", b"\xff" * 8),
        ("float", encode(CppType("double"), 1e300)),
        ("float", encode(CppType("double"), 0.1)),
        ("std::set<bool>", b"\2\0\0\0\1\1"),
        ("std::set<double>", b"\1\0\0\0" + encode(CppType("double"), "nan")),
        ("std::string", b"\0" * (FRAME_CAP + 1)),
    ],
)
def test_bounds_of_the_decoder(kind: str, data: bytes) -> None:
    with pytest.raises(WireError):
        decode(kind_of(kind), data)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("int", True),
        ("int", 2**31),
        ("int", 1.0),
        ("int", None),
        ("char", "ab"),
        ("std::string", 1),
        ("float", 1e39),
        ("double", 10**400),
        ("std::array<int, 2>", [1]),
        ("std::pair<int, int>", [1, 2, 3]),
        ("std::vector<int>", {"a": 1}),
        ("std::set<int>", [1, 1]),
        ("std::map<int, int>", [[1, 2], [1, 3]]),
        ("std::multiset<double>", ["nan"]),
        ("Point", {"x": 1.0}),
        ("Point", {"x": 1.0, "y": 1, "z": 1}),
        ("Point", [1.0, 1]),
    ],
)
def test_json_that_does_not_fit_the_type_is_refused(kind: str, value: object) -> None:
    with pytest.raises(ValueError, match="is not a value of"):
        encode(kind_of(kind), value)


def test_a_value_is_no_larger_than_a_frame() -> None:
    with pytest.raises(ValueError, match="larger than"):
        encode(CppType("std::string"), "a" * FRAME_CAP)


def test_floats_compare_within_tolerance_and_nan_equals_nan() -> None:
    double = CppType("double")
    assert equal(double, 1e9, 1e9 + 100)
    assert not equal(double, 1.0, 1.00001)
    assert equal(double, math.nan, normalise(double, "nan"))
    assert not equal(double, math.nan, 0.0)
    assert to_json([math.inf, -math.inf, math.nan]) == ["inf", "-inf", "nan"]
    assert equal(CppType("float"), normalise(CppType("float"), 0.1), 0.1)


def test_sets_and_maps_compare_without_order() -> None:
    assert normalise(kind_of("std::unordered_map<int, std::string>"), [[2, "b"], [1, "a"]]) == [[1, "a"], [2, "b"]]
    assert normalise(kind_of("std::set<int>"), [3, 1, 2]) == [1, 2, 3]
    assert normalise(kind_of("std::multiset<int>"), [3, 1, 3]) == [1, 3, 3]
    multimap = kind_of("std::multimap<int, std::optional<double>>")
    assert normalise(multimap, [[2, None], [1, 5], [1, None]]) == [[1, None], [1, 5.0], [2, None]]


def test_structs_compare_member_by_member() -> None:
    kind = kind_of("Point")
    left = normalise(kind, {"x": 1, "y": 2})
    assert left == {"x": 1.0, "y": 2}
    assert equal(kind, left, {"x": 1.0000000001, "y": 2})
    assert not equal(kind, left, {"x": 1.0, "y": 3})
    assert to_json(normalise(kind, {"x": "nan", "y": 2})) == {"x": "nan", "y": 2}


def test_bytes_that_are_not_utf8_never_equal_their_escape() -> None:
    kind = CppType("std::string")
    value = decode(kind, b"\1\0\0\0\xff")
    assert to_json(value) == "\\xff"
    assert not equal(kind, value, "\\xff")


SORT = parse_prototype("void sort(std::vector<int>& v, const Point& p, std::optional<int>& o)", PREAMBLE)
AREA = parse_prototype("double area(std::vector<int>& v, const char* s)")


def test_a_test_is_arguments_a_result_and_what_references_become() -> None:
    test = {"args": [[2, 1], {"x": 0, "y": 0}, None], "after": [[1, 2], None, None]}
    frame = encode_arguments(SORT, test)
    assert frame == b"".join(encode(k, v) for (k, _), v in zip(SORT.params, test["args"], strict=True))
    assert expected_result(SORT, test) is None
    assert expected_after(SORT, test) == ([1, 2], None, None)
    assert expected_result(AREA, {"args": [[1], "s"], "expected": "inf"}) == math.inf
    assert expected_after(AREA, {"args": [[1], "s"], "expected": 1}) is None
    assert expected_after(AREA, {"args": [[1], "s"], "expected": 1, "after": [None, None]}) is None


def test_a_reply_is_the_result_then_the_references() -> None:
    vector, number = kind_of("std::vector<int>"), kind_of("std::optional<int>")
    back = encode(vector, [1, 2])
    assert decode_reply(SORT, back + encode(number, None)) == (None, [[1, 2], None])
    assert decode_reply(AREA, encode(CppType("double"), 0.5) + back) == (0.5, [[1, 2]])
    for frame in (b"", back, encode(CppType("double"), 0.5), encode(CppType("double"), 0.5) + back + b"\0"):
        with pytest.raises(WireError):
            decode_reply(AREA, frame)


@pytest.mark.parametrize(
    ("prototype", "test", "why"),
    [
        (AREA, {"args": [[1]], "expected": 1}, "args: 1 arguments for 2 parameters"),
        (AREA, {"args": "ab", "expected": 1}, "args: 'ab' is no list"),
        (AREA, {"expected": 1}, "fields are"),
        (AREA, {"args": [[1], "s"], "expected": 1, "stdin": ""}, "fields are"),
        (AREA, {"args": [[1], "s"]}, "expected is missing"),
        (AREA, {"args": [[1], "s"], "expected": "1"}, "is not a value of double"),
        (AREA, {"args": [[1], "a\0b"], "expected": 1}, "zero byte"),
        (AREA, {"args": [[1], "s"], "expected": 1, "after": [[1]]}, "after: 1 values for 2 parameters"),
        (AREA, {"args": [[1], "s"], "expected": 1, "after": [None, "s"]}, "after has a value for s"),
        (AREA, {"args": [[1], "s"], "expected": 1, "after": [["1"], None]}, "is not a value of int"),
        (SORT, {"args": [[1], {"x": 0, "y": 0}, 1]}, "after has to say"),
        (SORT, {"args": [[1], {"x": 0, "y": 0}, 1], "after": [None, None, None]}, "after has to say"),
        (SORT, {"args": [[1], {"x": 0, "y": 0}, 1], "expected": 1, "after": [[1], None, None]}, "leave expected out"),
    ],
)
def test_a_test_that_does_not_fit_the_prototype_is_refused(
    prototype: Prototype, test: dict[str, Any], why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        encode_arguments(prototype, test)
        expected_result(prototype, test)
        expected_after(prototype, test)

"""Random values of many types, and damaged frames, for the tests of both decoders. Made from a seed."""

from __future__ import annotations

import random
import struct
from typing import Any

from cpp_pipeline.sandbox.cpp.cpptypes import FLOATS, INTEGERS, MAPS, REPEATING, SETS, CppType
from cpp_pipeline.sandbox.cpp.prototype import parse_prototype
from cpp_pipeline.sandbox.judging.wire import encode

PREAMBLE = """#include <array>
#include <deque>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <vector>
struct Point { double x = 0; int8_t y{1}; };
struct Path { std::string name; std::vector<Point> points; std::optional<Point> end, start; };
"""
TYPES = [
    *("bool", "char", "signed char", "unsigned short", "int", "long long", "std::uint64_t", "float", "long double"),
    *("std::string", "std::vector<bool>", "std::vector<std::vector<short>>", "std::array<std::array<char, 2>, 3>"),
    *("std::deque<std::string>", "std::list<std::pair<bool, float>>", "std::set<double>", "std::multiset<char>"),
    *("std::unordered_set<unsigned char>", "std::set<std::vector<float>>", "std::map<std::pair<bool, char>, int>"),
    *("std::multimap<char, std::optional<bool>>", "std::unordered_map<std::string, double>", "Point", "Path"),
    *("std::optional<std::tuple<char, std::optional<int>>>", "std::vector<std::optional<std::array<long, 40>>>"),
]
_INTERESTING = [0, 1, 2, 3, 0x7F, 0x80, 0xFF, 0x7FF0000000000000, 0xFFF8000000000000, 2**31, 2**63, 2**64 - 1]


def kind_of(text: str) -> CppType:
    """The type that a text names, structs of `PREAMBLE` included."""
    return parse_prototype(f"int f({text} x)", PREAMBLE).params[0][0]


def value_of(kind: CppType, rng: random.Random) -> Any:
    """A JSON value of a type, its edges more often than they deserve."""
    name = kind.name
    if name == "bool":
        return rng.random() < 0.5
    if name == "char":
        return chr(rng.randrange(256))
    if name in INTEGERS:
        bits, signed = INTEGERS[name]
        low = -(1 << (bits - 1)) if signed else 0
        return rng.choice([low, low + (1 << bits) - 1, rng.randrange(low, low + (1 << bits)), rng.randrange(100)])
    if name in FLOATS:
        return rng.choice(
            [0.0, -0.0, 0.1, -1.5e30, 1e-40, rng.random(), *(["nan", "inf", "-inf"] * (rng.random() < 0.4))]
        )
    if name == "std::string":
        return "".join(rng.choice("ab\0é\udcff€") for _ in range(rng.randrange(5)))
    if name == "std::optional":
        return None if rng.random() < 0.4 else value_of(kind.args[0], rng)
    if kind.fields:
        return {f: value_of(k, rng) for f, k in zip(kind.fields, kind.args, strict=True)}
    if name in ("std::pair", "std::tuple"):
        return [value_of(k, rng) for k in kind.args]
    items = [value_of(kind.element, rng) for _ in range(kind.size or rng.randrange(5))]
    return _distinct(kind, items) if name in SETS + MAPS else items


def _distinct(kind: CppType, items: list[Any]) -> list[Any]:
    """Only items whose keys a set may hold."""
    found: dict[bytes, Any] = {}
    for item in items:
        key = item[0] if kind.name in MAPS else item
        data = encode(kind.args[0], key).replace(struct.pack("<d", -0.0), bytes(8))
        if "nan" not in repr(key):
            found.setdefault(bytes([len(found)]) if kind.name in REPEATING else data, item)
    return list(found.values())


def frame_of(kind: CppType, rng: random.Random) -> bytes:
    """A frame of a value; for sets and maps sometimes one with keys that they cannot hold together, or at all."""
    if kind.name in SETS + MAPS and rng.random() < 0.3:
        element = kind.element
        items = [value_of(element, rng) for _ in range(rng.randrange(1, 4))]
        return encode(CppType("std::vector", (element,)), [*items, rng.choice(items)])
    return encode(kind, value_of(kind, rng))


def damaged(frame: bytes, rng: random.Random) -> bytes:
    """The frame with some of its bytes changed, cut or doubled; sometimes as it is."""
    data = bytearray(frame)
    for _ in range(rng.choice([0, 0, 1, 1, 2, 4])):
        at = rng.randrange(len(data) + 1)
        much = rng.choice([1, 4, 8, rng.randrange(1, 20)])
        how = rng.randrange(6)
        if how == 0:
            del data[at : at + much]
        elif how == 1:
            data[at:at] = data[max(0, at - much) : at]
        elif how == 2:
            data[at : at + 8] = rng.choice(_INTERESTING).to_bytes(8, "little")
        elif how == 3:
            data[at : at + 4] = rng.choice([0, 1, 2, len(data), 0xFFFFFFFF]).to_bytes(4, "little")
        elif how == 4:
            data[at:at] = rng.randbytes(much)
        elif at < len(data):
            data[at] ^= 1 << rng.randrange(8)
    return bytes(data)

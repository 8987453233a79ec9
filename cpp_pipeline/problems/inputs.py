"""Natural arguments for a function, made from its parameter types alone.

Belongs here: values that a reader of the documentation would try: no negative numbers, no empty containers,
no number of five digits or more, no zero on its own. Outside of these, what a function does is mostly an accident
of its code, and a right solution written anew would differ from it.
"""

from __future__ import annotations

import json
import random
import re
from typing import Any

from cpp_pipeline.sandbox.cpp.prototype import INTEGERS, CppType, Prototype

_BOUNDS = (5, 9, 20, 60, 999)
_MAPS = {"std::map", "std::multimap", "std::unordered_map"}
_SETS = {"std::set", "std::unordered_set"}
_INDEX = re.compile(r"(i|j|k|n|m|idx|pos|index|position|size|len|length|count|num)", re.IGNORECASE)
_WORDS = (
    "alpha",
    "beta",
    "delta",
    "north",
    "paper",
    "river",
    "stone",
    "level",
    "noon",
    "abc",
    "zebra",
    "data",
)


def natural_inputs(prototype: Prototype, count: int, seed: str) -> list[list[Any]]:
    """Up to `count` different argument lists in the JSON form of the parameters.

    Fewer come back when the types have fewer natural values (a single `bool` has two).
    """
    rng = random.Random(f"natural {seed}")
    found: dict[str, list[Any]] = {}
    for _ in range(count * 10):
        arguments = _arguments(prototype, rng)
        found.setdefault(json.dumps(arguments), arguments)
        if len(found) == count:
            break
    return list(found.values())


def default_value(kind: CppType) -> Any:
    """The JSON form of `T{}`."""
    if kind.name == "bool":
        return False
    if kind.name in INTEGERS:
        return 0
    if kind.name in ("float", "double", "long double"):
        return 0.0
    if kind.name == "char":
        return "\0"
    if kind.name == "std::string":
        return ""
    if kind.name == "std::optional":
        return None
    if kind.size:
        return [default_value(kind.args[0])] * kind.size
    return [default_value(k) for k in kind.args] if kind.name in ("std::pair", "std::tuple") else []


def _arguments(prototype: Prototype, rng: random.Random) -> list[Any]:
    bound = rng.choice(_BOUNDS)
    arguments = [_value(kind, bound, rng) for kind, _ in prototype.params]
    _relate(prototype, arguments, rng)
    return arguments


def _relate(prototype: Prototype, arguments: list[Any], rng: random.Random) -> None:
    """Let an argument sometimes be an element, a size or a part of another; chance alone rarely does that."""
    containers = [a for a in arguments if isinstance(a, list | str) and a]
    for position, (kind, name) in enumerate(prototype.params):
        others = [c for c in containers if c is not arguments[position]]
        if not others:
            continue
        other = rng.choice(others)
        if kind.name in INTEGERS and kind.name != "char":
            if _INDEX.fullmatch(name):
                arguments[position] = rng.randint(1, len(other))
            elif isinstance(other, list) and isinstance(other[0], int) and rng.random() < 0.5:
                arguments[position] = rng.choice(other)
        elif kind.name == "std::string" and isinstance(other, str) and rng.random() < 0.5:
            start = rng.randrange(len(other))
            arguments[position] = other[start : start + rng.randint(1, 4)]


def _value(kind: CppType, bound: int, rng: random.Random) -> Any:
    name = kind.name
    if name == "bool":
        return rng.random() < 0.5
    if name in INTEGERS:
        return rng.randint(1, min(bound, 99 if INTEGERS[name][0] == 8 else bound))
    if name in ("float", "double", "long double"):
        return round(rng.uniform(0.25, bound) * 4) / 4
    if name == "char":
        return rng.choice("abcdefgxyzABC019")
    if name == "std::string":
        return _string(rng)
    if name == "std::optional":
        return _value(kind.args[0], bound, rng) if rng.random() < 0.8 else None
    if name in ("std::pair", "std::tuple"):
        return [_value(k, bound, rng) for k in kind.args]
    if name in _MAPS:
        keys = _different(kind.args[0], bound, rng)
        return [[key, _value(kind.args[1], bound, rng)] for key in keys]
    if name in _SETS:
        return _different(kind.args[0], bound, rng)
    if kind.size:
        return [_value(kind.args[0], bound, rng) for _ in range(kind.size)]
    return _sequence(kind.args[0], bound, rng)


def _different(kind: CppType, bound: int, rng: random.Random) -> list[Any]:
    values = [_value(kind, bound, rng) for _ in range(rng.randint(1, 6))]
    unique = {json.dumps(v): v for v in values}
    return sorted(unique.values(), key=lambda v: (str(type(v)), v))


def _sequence(kind: CppType, bound: int, rng: random.Random) -> list[Any]:
    values = [_value(kind, bound, rng) for _ in range(rng.randint(1, 10))]
    if rng.random() < 0.3:
        values[rng.randrange(len(values))] = values[0]
    if rng.random() < 0.33 and not any(v is None for v in values):
        values.sort()
    return values


def _string(rng: random.Random) -> str:
    shape = rng.randrange(6)
    if shape == 0:
        return " ".join(rng.choice(_WORDS) for _ in range(rng.randint(1, 5)))
    if shape == 1:
        return str(rng.randint(1, 9999))
    if shape == 2:
        half = "".join(rng.choice("abc") for _ in range(rng.randint(1, 4)))
        return half + half[::-1]
    if shape == 3:
        return "".join(rng.choice("ab") for _ in range(rng.randint(1, 9)))
    letters = "abcdefghijklmnopqrstuvwxyz" if shape == 4 else "abcdeABCDE01 "
    return "".join(rng.choice(letters) for _ in range(rng.randint(1, 12)))

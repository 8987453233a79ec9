"""The ingredients of the generated family: 10 filters, 10 maps, 8 reducers.

Belongs here: what each operator means in words, in C++ and in Python. How they are put together is in `family`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce


def truncating_div(a: int, b: int) -> int:
    """C++ `a / b`: rounds towards zero (ISO C++ [expr.mul]/4)."""
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


def truncating_mod(a: int, b: int) -> int:
    """C++ `a % b`: has the sign of `a`."""
    return a - b * truncating_div(a, b)


@dataclass(frozen=True)
class Operator:
    """A step on one value `x` with a constant `k`: a filter (`is_filter`) keeps it or not, a map replaces it."""

    name: str
    is_filter: bool
    phrasings: tuple[str, str]
    cpp: str
    """condition of a filter, new value of a map; `{k}` is the constant"""
    python: Callable[[int, int], int]
    k_range: tuple[int, int] | None = None
    """constants drawn, both ends included; None when the operator has none"""


@dataclass(frozen=True)
class Reducer:
    """What is made of the values that the steps leave."""

    name: str
    phrasings: tuple[str, str]
    cpp: str
    """statement for one value"""
    python: Callable[[list[int]], int | list[int]]
    returns_list: bool = False


def _filter(
    name: str,
    one: str,
    two: str,
    cpp: str,
    python: Callable[[int, int], bool],
    k: tuple[int, int] | None = None,
) -> Operator:
    return Operator(name, True, (one, two), cpp, python, k)


def _map(
    name: str,
    one: str,
    two: str,
    cpp: str,
    python: Callable[[int, int], int],
    k: tuple[int, int] | None = None,
) -> Operator:
    return Operator(name, False, (one, two), cpp, python, k)


# The ranges leave out constants that turn one operator into another: a multiple of 2 is "even", > 0 is "positive".
_OPERATORS = (
    _filter("even", "keep only the even values", "drop the odd values", "x % 2 == 0", lambda x, k: x % 2 == 0),
    _filter("odd", "keep only the odd values", "drop the even values", "x % 2 != 0", lambda x, k: x % 2 != 0),
    _filter(
        "positive",
        "keep only the positive values",
        "drop the values that are not positive",
        "x > 0",
        lambda x, k: x > 0,
    ),
    _filter(
        "negative",
        "keep only the negative values",
        "drop the values that are not negative",
        "x < 0",
        lambda x, k: x < 0,
    ),
    _filter(
        "greater",
        "keep only the values greater than {k}",
        "drop the values up to {k}",
        "x > {k}",
        lambda x, k: x > k,
        (1, 9),
    ),
    _filter(
        "less",
        "keep only the values below {k}",
        "drop the values of at least {k}",
        "x < {k}",
        lambda x, k: x < k,
        (1, 9),
    ),
    _filter(
        "multiple",
        "keep only the multiples of {k}",
        "drop the values that {k} does not divide",
        "x % {k} == 0",
        lambda x, k: x % k == 0,
        (3, 9),
    ),
    _filter(
        "not_multiple",
        "drop the multiples of {k}",
        "keep only the values that {k} does not divide",
        "x % {k} != 0",
        lambda x, k: x % k != 0,
        (3, 9),
    ),
    _filter(
        "not_equal",
        "drop every value equal to {k}",
        "keep only the values other than {k}",
        "x != {k}",
        lambda x, k: x != k,
        (1, 9),
    ),
    _filter(
        "magnitude_below",
        "keep only the values of magnitude below {k}",
        "drop the values of magnitude {k} or more",
        "std::abs(x) < {k}",
        lambda x, k: abs(x) < k,
        (2, 9),
    ),
    _map("square", "square each value", "multiply each value by itself", "x * x", lambda x, k: x * x),
    _map("negate", "negate each value", "flip the sign of each value", "-x", lambda x, k: -x),
    _map(
        "magnitude",
        "take the absolute value of each value",
        "replace each value by its magnitude",
        "std::abs(x)",
        lambda x, k: abs(x),
    ),
    _map("add", "add {k} to each value", "increase each value by {k}", "x + {k}", lambda x, k: x + k, (1, 9)),
    _map(
        "subtract",
        "subtract {k} from each value",
        "decrease each value by {k}",
        "x - {k}",
        lambda x, k: x - k,
        (1, 9),
    ),
    _map(
        "scale",
        "multiply each value by {k}",
        "scale each value by {k}",
        "x * {k}",
        lambda x, k: x * k,
        (2, 9),
    ),
    _map(
        "divide",
        "divide each value by {k}",
        "replace each value by its quotient by {k}",
        "x / {k}",
        truncating_div,
        (2, 9),
    ),
    _map(
        "remainder",
        "take each value modulo {k}",
        "replace each value by its remainder by {k}",
        "x % {k}",
        truncating_mod,
        (2, 9),
    ),
    _map(
        "at_most",
        "limit each value to at most {k}",
        "replace each value above {k} by {k}",
        "std::min(x, {k})",
        min,
        (1, 9),
    ),
    _map(
        "at_least",
        "raise each value to at least {k}",
        "replace each value below {k} by {k}",
        "std::max(x, {k})",
        max,
        (1, 9),
    ),
)
_REDUCERS = (
    Reducer("sum", ("the total", "the sum of the values"), "r += x;", sum),
    Reducer("count", ("how many values remain", "the number of values left"), "++r;", len),
    Reducer(
        "max",
        ("the largest value, at least 0", "the maximum of 0 and the values"),
        "r = std::max(r, x);",
        lambda xs: max(xs, default=0) if max(xs, default=0) > 0 else 0,
    ),
    Reducer(
        "min",
        ("the smallest value, at most 0", "the minimum of 0 and the values"),
        "r = std::min(r, x);",
        lambda xs: min(xs, default=0) if min(xs, default=0) < 0 else 0,
    ),
    Reducer(
        "last",
        ("the last value or 0", "the final value, 0 if none"),
        "r = x;",
        lambda xs: xs[-1] if xs else 0,
    ),
    Reducer(
        "xor",
        ("the xor of the values", "all values combined by xor"),
        "r ^= x;",
        lambda xs: reduce(lambda r, x: r ^ x, xs, 0),
    ),
    Reducer(
        "alternating",
        ("the alternating difference", "the result of r = x - r over the values"),
        "r = x - r;",
        lambda xs: reduce(lambda r, x: x - r, xs, 0),
    ),
    Reducer("list", ("the resulting list", "the values that result"), "r.push_back(x);", list, returns_list=True),
)
OPERATORS: Mapping[str, Operator] = {o.name: o for o in _OPERATORS}
REDUCERS: Mapping[str, Reducer] = {r.name: r for r in _REDUCERS}

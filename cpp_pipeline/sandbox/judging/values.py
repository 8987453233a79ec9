"""What is sent for a test, what is expected back, and whether two values are equal.

Belongs here: JSON tests of a prototype, replies, comparison. Not here: the wire format (`wire`).
The reply to a call is the returned value (nothing for void), then the value of each non-const reference parameter.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from cpp_pipeline.sandbox.cpp.cpptypes import FLOATS, CppType
from cpp_pipeline.sandbox.cpp.prototype import VOID, Prototype
from cpp_pipeline.sandbox.judging.wire import FRAME_CAP, WireError, decode, decode_all, encode

__all__ = [
    "FRAME_CAP",
    "TOLERANCE",
    "WireError",
    "decode",
    "decode_reply",
    "encode",
    "encode_arguments",
    "equal",
    "expected_after",
    "expected_result",
    "normalise",
    "to_json",
]
TOLERANCE = 1e-6
_FIELDS = {"args", "expected", "after"}


def encode_arguments(prototype: Prototype, test: Mapping[str, Any]) -> bytes:
    """Frame of a JSON test's arguments, in the order of the parameters.

    Raises
    ------
    ValueError
        The test has other fields than `args`, `expected` and `after`, another number of arguments, an argument that
        does not fit its type, or too many for one frame.
    """
    if not test.keys() <= _FIELDS or "args" not in test:
        raise ValueError(f"fields are {sorted(test)}, not args and expected, or args, expected and after")
    args = _list(test, "args", prototype)
    kinds = [kind for kind, _ in prototype.params]
    for how, value in zip(prototype.passing, args, strict=True):
        if how == "text" and isinstance(value, str) and "\0" in value:
            raise ValueError(f"{value!r:.80} ends early as a const char*: it holds a zero byte")
    frame = b"".join(encode(kind, value) for kind, value in zip(kinds, args, strict=True))
    decode_all(kinds, frame)
    return frame


def expected_result(prototype: Prototype, test: Mapping[str, Any]) -> Any:
    """The value that a JSON test expects back, in the form of `decode_reply`; None for void.

    Raises
    ------
    ValueError
        It is missing, does not fit the type, or is given for a function that returns nothing.
    """
    if prototype.return_type == VOID:
        if test.get("expected") is not None:
            raise ValueError(f"{prototype.name} returns nothing: leave expected out, and give after")
        return None
    if "expected" not in test:
        raise ValueError(f"expected is missing, and {prototype.name} returns {prototype.return_type}")
    return normalise(prototype.return_type, test["expected"])


def expected_after(prototype: Prototype, test: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """For each parameter the value that it shall have after the call, None where that is not compared.

    None when the test compares none of them. An absent optional cannot be expected, since null says "not compared".

    Raises
    ------
    ValueError
        `after` does not hold one entry per parameter, has one for a parameter that is no non-const reference, or
        compares nothing although the function returns nothing.
    """
    if test.get("after") is None:
        after: list[Any] = [None] * len(prototype.params)
    else:
        after = _list(test, "after", prototype)
    compared: list[Any] = []
    for (kind, name), reference, value in zip(prototype.params, prototype.references, after, strict=True):
        if value is not None and not reference:
            raise ValueError(f"after has a value for {name}, which is no non-const reference: write null")
        compared.append(None if value is None else normalise(kind, value))
    if all(value is None for value in compared):
        if prototype.return_type == VOID:
            raise ValueError(f"{prototype.name} returns nothing: after has to say what a reference parameter becomes")
        return None
    return tuple(compared)


def decode_reply(prototype: Prototype, frame: bytes) -> tuple[Any, list[Any]]:
    """What a call gave: the result (None for void) and the values of the non-const reference parameters, in order.

    Raises
    ------
    WireError
        The frame is not exactly these values.
    """
    kinds = [] if prototype.return_type == VOID else [prototype.return_type]
    found = decode_all([*kinds, *prototype.reference_types], frame)
    return (found[0] if kinds else None), found[len(kinds) :]


def _list(test: Mapping[str, Any], field: str, prototype: Prototype) -> list[Any]:
    found = test[field]
    if not isinstance(found, list | tuple):
        raise ValueError(f"{field}: {found!r:.80} is no list")
    if len(found) != len(prototype.params):
        what = "arguments" if field == "args" else "values"
        raise ValueError(f"{field}: {len(found)} {what} for {len(prototype.params)} parameters")
    return list(found)


def normalise(kind: CppType, value: Any) -> Any:
    """A JSON value in the form that `decode` gives (sets and maps sorted, special floats as floats)."""
    return decode(kind, encode(kind, value))


def equal(kind: CppType, left: Any, right: Any) -> bool:
    """Equality of two decoded values of one type; floats within 1e-6 relative or absolute, NaN equals NaN.

    Structs are equal when all their members are; two results of void are equal.
    """
    if kind.name in FLOATS:
        if math.isnan(left) or math.isnan(right):
            return math.isnan(left) and math.isnan(right)
        return math.isclose(left, right, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    if kind.name == "std::optional":
        if left is None or right is None:
            return left is None and right is None
        return equal(kind.args[0], left, right)
    if kind.fields:
        return all(equal(part, left[f], right[f]) for f, part in zip(kind.fields, kind.args, strict=True))
    if not kind.args:
        return bool(left == right)
    if len(left) != len(right):
        return False
    if kind.name in ("std::pair", "std::tuple"):
        return all(equal(k, a, b) for k, a, b in zip(kind.args, left, right, strict=True))
    return all(equal(kind.element, a, b) for a, b in zip(left, right, strict=True))


def to_json(value: Any) -> Any:
    """Decoded value as strict JSON: special floats as text, bytes that are not UTF-8 escaped."""
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if isinstance(value, list):
        return [to_json(v) for v in value]
    if isinstance(value, dict):
        return {k: to_json(v) for k, v in value.items()}
    return value

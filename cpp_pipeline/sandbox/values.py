"""Values of prototype types: JSON, bytes on the pipe, and equality.

Belongs here: the bounded wire format and comparison. The C++ side of the format is `native/glue.hpp`.
Integers and floats are 8 bytes little endian, bool, char and the flag of an optional 1 byte; strings and
containers carry a 4-byte count first; pairs and tuples are their elements.
"""

from __future__ import annotations

import math
import struct
from typing import Any

from cpp_pipeline.sandbox.prototype import INTEGERS, CppType

FRAME_CAP = 1 << 20
"""Largest encoded value in bytes."""
TOLERANCE = 1e-6
_MAPS = {"std::map", "std::unordered_map"}
_SPECIAL = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


class WireError(ValueError):
    """Bytes that are no value of the expected type."""


def _refuse(kind: CppType, value: Any) -> ValueError:
    return ValueError(f"{value!r:.80} is not a value of {kind}")


def encode(kind: CppType, value: Any) -> bytes:
    """Bytes of a JSON value; raises ValueError when it does not fit the type or the frame cap."""
    out = bytearray()
    _encode(kind, value, out)
    return bytes(out)


def _encode(kind: CppType, value: Any, out: bytearray) -> None:
    name = kind.name
    if len(out) > FRAME_CAP:
        raise ValueError(f"value of {kind} is larger than {FRAME_CAP} bytes")
    if name == "bool":
        if not isinstance(value, bool):
            raise _refuse(kind, value)
        out.append(value)
    elif name == "char":
        if not isinstance(value, str) or len(value) != 1 or ord(value) > 255:
            raise _refuse(kind, value)
        out.append(ord(value))
    elif name in INTEGERS:
        bits, signed = INTEGERS[name]
        low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise _refuse(kind, value)
        out += value.to_bytes(8, "little", signed=signed)
    elif name in ("float", "double"):
        out += struct.pack("<d", _number(kind, value))
    elif name == "std::string":
        if not isinstance(value, str):
            raise _refuse(kind, value)
        data = value.encode("utf-8", "surrogateescape")
        out += struct.pack("<I", len(data)) + data
    elif name == "std::optional":
        out.append(value is not None)
        if value is not None:
            _encode(kind.args[0], value, out)
    elif name in ("std::pair", "std::tuple"):
        for part, item in zip(kind.args, _items(kind, value, len(kind.args)), strict=True):
            _encode(part, item, out)
    else:
        items = _items(kind, value, None)
        out += struct.pack("<I", len(items))
        element = CppType("std::pair", kind.args) if name in _MAPS else kind.args[0]
        for item in items:
            _encode(element, item, out)
    if len(out) > FRAME_CAP:
        raise ValueError(f"value of {kind} is larger than {FRAME_CAP} bytes")


def _items(kind: CppType, value: Any, count: int | None) -> list[Any]:
    if not isinstance(value, list | tuple) or (count is not None and len(value) != count):
        raise _refuse(kind, value)
    return list(value)


def _number(kind: CppType, value: Any) -> float:
    if isinstance(value, str) and value in _SPECIAL:
        return _SPECIAL[value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _refuse(kind, value)
    try:
        return float(value)
    except OverflowError:
        raise _refuse(kind, value) from None


def decode(kind: CppType, data: bytes) -> Any:
    """Value of one frame. Sets and maps come back sorted.

    Raises
    ------
    WireError
        Too long, too short, bytes left over, or a value outside its type's range.
    """
    if len(data) > FRAME_CAP:
        raise WireError(f"frame of {len(data)} bytes")
    value, end = _decode(kind, data, 0)
    if end != len(data):
        raise WireError(f"{len(data) - end} bytes after the value")
    return value


def _take(data: bytes, at: int, count: int) -> bytes:
    if at + count > len(data):
        raise WireError("frame ends too early")
    return data[at : at + count]


def _decode(kind: CppType, data: bytes, at: int) -> tuple[Any, int]:
    name = kind.name
    if name in ("bool", "char"):
        byte = _take(data, at, 1)[0]
        if name == "bool" and byte > 1:
            raise WireError(f"bool of {byte}")
        return (bool(byte) if name == "bool" else chr(byte)), at + 1
    if name in INTEGERS:
        bits, signed = INTEGERS[name]
        number = int.from_bytes(_take(data, at, 8), "little", signed=signed)
        if not (-(1 << (bits - 1)) <= number < 1 << (bits - 1) if signed else number < 1 << bits):
            raise WireError(f"{number} is outside {name}")
        return number, at + 8
    if name in ("float", "double"):
        return struct.unpack("<d", _take(data, at, 8))[0], at + 8
    if name == "std::optional":
        flag = _take(data, at, 1)[0]
        if flag > 1:
            raise WireError(f"optional of {flag}")
        return _decode(kind.args[0], data, at + 1) if flag else (None, at + 1)
    if name in ("std::pair", "std::tuple"):
        parts = []
        for part in kind.args:
            item, at = _decode(part, data, at)
            parts.append(item)
        return parts, at
    count = int(struct.unpack("<I", _take(data, at, 4))[0])
    at += 4
    if name == "std::string":
        return _take(data, at, count).decode("utf-8", "surrogateescape"), at + count
    return _decode_items(kind, data, at, count)


def _decode_items(kind: CppType, data: bytes, at: int, count: int) -> tuple[list[Any], int]:
    # every element takes at least one byte, so a count cannot make us allocate more than the frame
    if count > len(data) - at:
        raise WireError(f"count of {count} in {len(data) - at} bytes")
    element = CppType("std::pair", kind.args) if kind.name in _MAPS else kind.args[0]
    items = []
    for _ in range(count):
        item, at = _decode(element, data, at)
        items.append(item)
    return (items if kind.name == "std::vector" else _sorted(kind, items)), at


def _order(value: Any) -> Any:
    """Sort key that also orders None before values, inside nested lists."""
    if isinstance(value, list | tuple):
        return (1, [_order(v) for v in value])
    return (0, 0) if value is None else (1, value)


def _sorted(kind: CppType, items: list[Any]) -> list[Any]:
    return sorted(items, key=(lambda kv: _order(kv[0])) if kind.name in _MAPS else _order)


def normalise(kind: CppType, value: Any) -> Any:
    """A JSON value in the form that `decode` gives (sets and maps sorted, special floats as floats)."""
    data = encode(kind, value)
    return decode(kind, data)


def equal(kind: CppType, left: Any, right: Any) -> bool:
    """Equality of two decoded values; floats within 1e-6 relative or absolute, NaN equals NaN."""
    if kind.name in ("float", "double"):
        if math.isnan(left) or math.isnan(right):
            return math.isnan(left) and math.isnan(right)
        return math.isclose(left, right, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    if kind.name == "std::optional":
        if left is None or right is None:
            return left is None and right is None
        return equal(kind.args[0], left, right)
    if not kind.args:
        return bool(left == right)
    if len(left) != len(right):
        return False
    if kind.name in ("std::pair", "std::tuple"):
        return all(equal(k, a, b) for k, a, b in zip(kind.args, left, right, strict=True))
    element = CppType("std::pair", kind.args) if kind.name in _MAPS else kind.args[0]
    return all(equal(element, a, b) for a, b in zip(left, right, strict=True))


def to_json(value: Any) -> Any:
    """Decoded value as strict JSON: special floats as text, bytes that are not UTF-8 escaped."""
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if isinstance(value, list):
        return [to_json(v) for v in value]
    return value

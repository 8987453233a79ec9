"""Values as bytes on the pipe: JSON form in, bounded frames out, and back.

Belongs here: the wire format; `native/judge.hpp` is its C++ side and accepts exactly the same frames. Not here: what is
sent for a test, and equality (`values`).

Integers and floats are 8 bytes little endian, bool, char and the flag of an optional 1 byte; strings and containers
carry a 4-byte count first; pairs, tuples, arrays and structs are their parts. Every value takes at least one byte.
A long double is sent as a double, and a float as the double that equals it.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any

from cpp_pipeline.sandbox.cpp.cpptypes import FLOATS, INTEGERS, MAPS, REPEATING, SETS, CppType

FRAME_CAP = 1 << 20
"""Largest frame in bytes."""
_NAN = (2,)
_SPECIAL = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


class WireError(ValueError):
    """Bytes that are no value of the expected type."""


def encode(kind: CppType, value: Any) -> bytes:
    """Bytes of a JSON value.

    A struct is an object with all its members, an optional may be null, a map is a list of [key, value]; NaN and
    infinities are "nan", "inf" and "-inf".

    Raises
    ------
    ValueError
        The value does not fit the type or the frame cap.
    """
    out = bytearray()
    _encode(kind, value, out)
    return bytes(out)


def _refuse(kind: CppType, value: Any, why: str = "") -> ValueError:
    return ValueError(f"{value!r:.80} is not a value of {kind}{why and ': '}{why}")


def _encode(kind: CppType, value: Any, out: bytearray) -> None:
    name = kind.name
    if name == "bool":
        if not isinstance(value, bool):
            raise _refuse(kind, value)
        out.append(value)
    elif name == "char":
        if not isinstance(value, str) or len(value) != 1 or ord(value) > 255:
            raise _refuse(kind, value)
        out.append(ord(value))
    elif name in INTEGERS:
        if isinstance(value, bool) or not isinstance(value, int) or not _fits(name, value):
            raise _refuse(kind, value)
        out += value.to_bytes(8, "little", signed=INTEGERS[name][1])
    elif name in FLOATS:
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
    elif kind.fields or name in ("std::pair", "std::tuple"):
        for part, item in zip(kind.args, _parts(kind, value), strict=True):
            _encode(part, item, out)
    else:
        _encode_items(kind, value, out)
    if len(out) > FRAME_CAP:
        raise ValueError(f"value of {kind} is larger than {FRAME_CAP} bytes")


def _encode_items(kind: CppType, value: Any, out: bytearray) -> None:
    if not isinstance(value, list | tuple) or (kind.size and len(value) != kind.size):
        raise _refuse(kind, value, f"an array of {kind.size} is needed" if kind.size else "a list is needed")
    if not kind.size:
        out += struct.pack("<I", len(value))
    element = kind.element
    start = len(out)
    for item in value:
        _encode(element, item, out)
    if kind.name in SETS + MAPS:
        try:
            _Reader(out, start).ordered(kind, len(value))
        except WireError as error:
            raise _refuse(kind, value, str(error)) from None


def _parts(kind: CppType, value: Any) -> Sequence[Any]:
    if kind.fields:
        if not isinstance(value, dict) or value.keys() != set(kind.fields):
            raise _refuse(kind, value, f"an object with the members {', '.join(kind.fields)} is needed")
        return [value[field] for field in kind.fields]
    if not isinstance(value, list | tuple) or len(value) != len(kind.args):
        raise _refuse(kind, value, f"a list of {len(kind.args)} is needed")
    return value


def _fits(name: str, number: int) -> bool:
    bits, signed = INTEGERS[name]
    return -(1 << (bits - 1)) <= number < 1 << (bits - 1) if signed else 0 <= number < 1 << bits


def _number(kind: CppType, value: Any) -> float:
    if isinstance(value, str) and value in _SPECIAL:
        return _SPECIAL[value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _refuse(kind, value)
    try:
        return _single(value) if kind.name == "float" else float(value)
    except OverflowError:
        raise _refuse(kind, value) from None


def _single(value: float) -> float:
    """Nearest number that a C++ float can hold; raises OverflowError where that is none."""
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


def decode(kind: CppType, data: bytes) -> Any:
    """Value of one frame, see `decode_all`."""
    return decode_all([kind], data)[0]


def decode_all(kinds: Sequence[CppType], data: bytes) -> list[Any]:
    """Values of one frame that holds one of each type and nothing else. Sets and maps come back sorted.

    Raises
    ------
    WireError
        Too long, too short, bytes left over, a value outside its type's range, or a key that occurs twice.
    """
    if len(data) > FRAME_CAP:
        raise WireError(f"frame of {len(data)} bytes")
    reader = _Reader(data)
    found = [reader.value(kind) for kind in kinds]
    if reader.at != len(data):
        raise WireError(f"{len(data) - reader.at} bytes after the value")
    return found


class _Reader:
    """Takes values from the front. `room` is how many values may still be left out in absent optionals.

    An absent optional takes one byte and, in C++, the room of its type; that room must not outgrow the frame.
    """

    def __init__(self, data: bytes | bytearray, at: int = 0) -> None:
        self.data, self.at, self.room = data, at, FRAME_CAP

    def take(self, count: int) -> bytes:
        if self.at + count > len(self.data):
            raise WireError("frame ends too early")
        self.at += count
        return bytes(self.data[self.at - count : self.at])

    def flag(self, what: str) -> bool:
        byte = self.take(1)[0]
        if byte > 1:
            raise WireError(f"{what} of {byte}")
        return bool(byte)

    def count(self) -> int:
        number = int.from_bytes(self.take(4), "little")
        # every element takes at least one byte, so a count cannot make us allocate more than the frame
        if number > len(self.data) - self.at:
            raise WireError(f"count of {number} in {len(self.data) - self.at} bytes")
        return number

    def value(self, kind: CppType) -> Any:
        name = kind.name
        if name == "bool":
            return self.flag("bool")
        if name == "char":
            return chr(self.take(1)[0])
        if name in INTEGERS:
            number = int.from_bytes(self.take(8), "little", signed=INTEGERS[name][1])
            if not _fits(name, number):
                raise WireError(f"{number} is outside {name}")
            return number
        if name in FLOATS:
            return self.number(name)
        if name == "std::string":
            return self.take(self.count()).decode("utf-8", "surrogateescape")
        if name == "std::optional":
            return self.optional(kind)
        if kind.fields:
            return {field: self.value(part) for field, part in zip(kind.fields, kind.args, strict=True)}
        if name in ("std::pair", "std::tuple"):
            return [self.value(part) for part in kind.args]
        if name in SETS + MAPS:
            return self.ordered(kind, self.count())
        return [self.value(kind.args[0]) for _ in range(kind.size or self.count())]

    def number(self, name: str) -> float:
        found = float(struct.unpack("<d", self.take(8))[0])
        try:
            if name != "float" or math.isnan(found) or _single(found) == found:
                return found
        except OverflowError as error:
            raise WireError(f"{found} is no float") from error
        raise WireError(f"{found} is no float")

    def optional(self, kind: CppType) -> Any:
        if self.flag("optional"):
            return self.value(kind.args[0])
        self.room -= kind.width
        if self.room < 0:
            raise WireError("too many absent optionals")
        return None

    def ordered(self, kind: CppType, count: int) -> list[Any]:
        """Elements of a set or map, sorted; those of one key by their values."""
        items = [self.value(kind.element) for _ in range(count)]
        keys = [_order(item[0] if kind.name in MAPS else item) for item in items]
        if any(map(_holds_nan, keys)):
            raise WireError(f"NaN in a key of {kind.name}")
        if kind.name in REPEATING:
            return sorted(items, key=_order)
        if len(set(keys)) != len(keys):
            raise WireError(f"a key of {kind.name} occurs twice")
        return [items[at] for at in sorted(range(count), key=keys.__getitem__)]


def _order(value: Any) -> Any:
    """Sort key of a decoded value: hashable, None before values, NaN behind them."""
    if isinstance(value, list):
        return (1, tuple(_order(v) for v in value))
    if isinstance(value, dict):
        return (1, tuple(_order(v) for v in value.values()))
    if value is None:
        return (0,)
    return _NAN if isinstance(value, float) and math.isnan(value) else (1, value)


def _holds_nan(key: Any) -> bool:
    return key == _NAN or (isinstance(key[-1], tuple) and any(map(_holds_nan, key[-1])))

"""Zip archives member by member, without holding the directory of the archive.

Belongs here: the central directory as a stream, members that overlap, and unpacking one member. Does not belong
here: which members are wanted or refused (`archives`).

The standard library makes an object of each member before the first is read, which for millions of members
takes gigabytes. Here a member costs 16 bytes. Stored and deflated members are read, which is what zip programs
write; others are refused by name. Layout: APPNOTE.TXT of PKWARE, sections 4.3 and 4.5.3.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import numpy as np

_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s4x2H4x3L3H4x2L")
_LOCAL = struct.Struct("<4s2B4HL2L2H")
_MAX_COMMENT = 65_535
_BUFFER_BYTES = 1 << 20
_FULL = 0xFFFFFFFF
STORED, DEFLATED = 0, 8


class BadZip(ValueError):
    """The archive does not keep to the format."""


@dataclass(frozen=True)
class Entry:
    """One member as the directory tells it; `mode` is its Unix mode, 0 when it has none."""

    name: str
    mode: int
    encrypted: bool
    method: int
    packed_bytes: int
    size_bytes: int
    crc: int
    offset: int


def entries(file: IO[bytes], max_entries: int) -> Iterator[Entry]:
    """The members in the order of the directory.

    Raises
    ------
    BadZip
        No zip archive, more than `max_entries` members, a directory that is cut, or members that share bytes
        (the trick by which a small archive unpacks to petabytes).
    """
    begin, size, count = _directory(file)
    if count > max_entries:
        raise BadZip(f"{count} members, limit {max_entries}")
    _check_overlaps(file, begin, size, count)
    yield from _walk(file, begin, size, count)


def _directory(file: IO[bytes]) -> tuple[int, int, int]:
    """Where the central directory begins, its bytes, and how many members it lists."""
    length = file.seek(0, io.SEEK_END)
    start = max(0, length - _END.size - _MAX_COMMENT)
    file.seek(start)
    tail = file.read(_END.size + _MAX_COMMENT)
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) - at < _END.size:
        raise BadZip("no end of a zip directory: cut off, or no zip archive")
    _, _, _, _, count, size, begin, _ = _END.unpack_from(tail, at)
    if _FULL in {begin, size} or count == 0xFFFF:
        file.seek(max(0, start + at - _LOCATOR.size))
        locator = file.read(_LOCATOR.size)
        if len(locator) == _LOCATOR.size and locator.startswith(b"PK\6\7"):
            file.seek(_LOCATOR.unpack(locator)[2])
            end = file.read(_END64.size)
            if len(end) < _END64.size or not end.startswith(b"PK\6\6"):
                raise BadZip("no zip64 end of directory where one is announced")
            *_, count, size, begin = _END64.unpack(end)
    if begin + size > length:
        raise BadZip(f"the directory should end at byte {begin + size} of {length}")
    return begin, size, count


def _check_overlaps(file: IO[bytes], begin: int, size: int, count: int) -> None:
    starts, packed = np.zeros(count, np.uint64), np.zeros(count, np.uint64)
    for number, entry in enumerate(_walk(file, begin, size, count)):
        if entry.offset + _LOCAL.size + entry.packed_bytes > begin:
            raise BadZip(f"{entry.name} should end after the directory begins")
        starts[number], packed[number] = entry.offset, entry.packed_bytes
    order = np.argsort(starts, kind="stable")
    ends = (starts + packed + np.uint64(_LOCAL.size))[order]
    if (ends[:-1] > starts[order][1:]).any():
        raise BadZip("members overlap: the archive unpacks the same bytes more than once")


def _walk(file: IO[bytes], begin: int, size: int, count: int) -> Iterator[Entry]:
    reader = _Window(file, begin, begin + size)
    for _ in range(count):
        magic, flags, method, crc, packed, unpacked, n_name, n_extra, n_comment, mode, offset = _ENTRY.unpack(
            reader.take(_ENTRY.size)
        )
        if magic != b"PK\1\2":
            raise BadZip("the directory is broken")
        name, extra = reader.take(n_name), reader.take(n_extra)
        reader.take(n_comment)
        if _FULL in (packed, unpacked, offset):
            unpacked, packed, offset = _zip64(extra, unpacked, packed, offset)
        text = name.decode("utf-8" if flags & 0x800 else "cp437", "backslashreplace")
        yield Entry(text, mode >> 16, bool(flags & 1), method, packed, unpacked, crc, offset)


def _zip64(extra: bytes, unpacked: int, packed: int, offset: int) -> tuple[int, int, int]:
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            field = extra[at + 4 : at + 4 + length]
            values = (int.from_bytes(field[i : i + 8], "little") for i in range(0, len(field), 8))
            found = [next(values, value) if value == _FULL else value for value in (unpacked, packed, offset)]
            return found[0], found[1], found[2]
        at += 4 + length
    return unpacked, packed, offset


class _Window:
    """Reads a range of a file from its beginning to its end, buffered."""

    def __init__(self, file: IO[bytes], begin: int, end: int) -> None:
        self._file, self._position, self._end, self._buffer, self._at = file, begin, end, b"", 0

    def take(self, size: int) -> bytes:
        """The next bytes. Raises BadZip when there are fewer."""
        if len(self._buffer) - self._at < size:
            self._file.seek(self._position)
            more = self._file.read(min(max(_BUFFER_BYTES, size), self._end - self._position))
            self._position += len(more)
            self._buffer, self._at = self._buffer[self._at :] + more, 0
            if len(self._buffer) < size:
                raise BadZip("the directory is cut off")
        self._at += size
        return self._buffer[self._at - size : self._at]


def chunks(file: IO[bytes], entry: Entry) -> Iterator[bytes]:
    """The unpacked bytes of one member, about 1 MB at a time.

    Raises
    ------
    BadZip
        The member is packed in a way that is not read, does not fit its local header, or is damaged.
    """
    if entry.method not in (STORED, DEFLATED):
        raise BadZip(f"{entry.name} is packed by method {entry.method}; pack it again by `zip`, or as .tar.zst")
    file.seek(entry.offset)
    head = file.read(_LOCAL.size)
    if len(head) < _LOCAL.size or not head.startswith(b"PK\3\4"):
        raise BadZip(f"{entry.name} is not where the directory says")
    *_, n_name, n_extra = _LOCAL.unpack(head)
    file.seek(entry.offset + _LOCAL.size + n_name + n_extra)
    unpack = zlib.decompressobj(-15) if entry.method == DEFLATED else None
    left, crc = entry.packed_bytes, 0
    try:
        while left and (packed := file.read(min(_BUFFER_BYTES, left))):
            left -= len(packed)
            while packed:
                chunk = unpack.decompress(packed, _BUFFER_BYTES) if unpack else packed
                packed = unpack.unconsumed_tail if unpack else b""
                crc = zlib.crc32(chunk, crc)
                yield chunk
    except zlib.error as error:
        raise BadZip(f"{entry.name} is damaged: {error}") from error
    if left or crc != entry.crc:
        raise BadZip(f"{entry.name} is damaged: {'cut off' if left else 'its checksum differs'}")

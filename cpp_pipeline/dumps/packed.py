"""Compressed streams of unknown origin, unpacked in bounded memory.

Belongs here: telling a packed file by its name, unpacking it as a stream, and stopping at a limit. Does not belong
here: archives (`archives`), or what the bytes mean.
"""

from __future__ import annotations

import bz2
import lzma
from typing import IO, cast

_COPY_BYTES = 1 << 20
_BOMB_RATIO = 100
_BOMB_LEAST_BYTES = 256_000_000
_LZMA_MEMORY_BYTES = 256 << 20
_PACKED = {
    "xz": (".xz", ".txz"), "gzip": (".gz", ".tgz"), "bz2": (".bz2", ".tbz2"), "zstd": (".zst", ".tzst"),
}  # fmt: skip


class TooMuch(Exception):
    """More than the limits allow."""


def unpacked_limit(packed_bytes: int) -> int:
    """To how many bytes a packed file may grow: sources pack to a tenth, what packs to a hundredth is a bomb."""
    return max(_BOMB_LEAST_BYTES, _BOMB_RATIO * packed_bytes)


def is_packed(name: str) -> bool:
    """Whether a file is compressed, by its name."""
    return name.lower().endswith(tuple(suffix for suffixes in _PACKED.values() for suffix in suffixes))


def open_packed(raw: IO[bytes], name: str) -> IO[bytes]:
    """A stream's bytes, unpacked by the last suffix of `name` (gz, bz2, xz, zst; anything else is read as it is)."""
    codec = next((c for c, suffixes in _PACKED.items() if name.lower().endswith(suffixes)), None)
    if codec is None:
        return raw
    if codec == "xz":
        return cast(IO[bytes], _Xz(raw))
    if codec == "bz2":
        return cast(IO[bytes], bz2.BZ2File(raw))
    import pyarrow as pa  # here: it takes as long as the rest of the start of a process that reads a dump

    return cast(IO[bytes], pa.input_stream(pa.PythonFile(raw, "r"), compression=codec))


class _Xz:
    """Unpacks xz within bounded memory: a file may ask for a dictionary of 4 GB."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._unpack = self._new()

    def _new(self) -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(memlimit=_LZMA_MEMORY_BYTES)

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end. Raises LZMAError or EOFError for a damaged file."""
        while True:
            packed = b""
            if self._unpack.eof:
                packed = self._unpack.unused_data.lstrip(b"\0") or self._raw.read(_COPY_BYTES).lstrip(b"\0")
                if not packed:
                    return b""
                self._unpack = self._new()
            elif self._unpack.needs_input:
                packed = self._raw.read(_COPY_BYTES)
                if not packed:
                    raise EOFError("the file ends before its last block")
            chunk = self._unpack.decompress(packed, size)
            if chunk:
                return chunk

    def __enter__(self) -> _Xz:
        return self

    def __exit__(self, *_: object) -> None:
        self._raw.close()


def counted(stream: IO[bytes], limit: int) -> IO[bytes]:
    """The stream; reading more than `limit` bytes of it raises TooMuch (decompression bombs)."""
    return cast(IO[bytes], _Counted(stream, limit))


class _Counted:
    def __init__(self, stream: IO[bytes], limit: int) -> None:
        self._stream, self._left, self._limit = stream, limit, limit

    def read(self, size: int = -1) -> bytes:
        chunk = bytes(self._stream.read(size))
        self._left -= len(chunk)
        if self._left < 0:
            raise TooMuch(f"more than {self._limit} unpacked bytes")
        return chunk

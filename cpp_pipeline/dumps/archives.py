"""Safe extraction of tar and zip archives of unknown origin.

Belongs here: taking regular files with harmless names out of an archive, within limits, and saying which
members were refused and why. Does not belong here: what the extracted files mean.

No member is trusted: links, devices, absolute names and names with `..` are refused, nothing is ever written
through a link (none is created), and the number of unpacked bytes is capped.
"""

from __future__ import annotations

import functools
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import pyarrow as pa

from cpp_pipeline.dumps.items import Bad, printable

_COPY_BYTES = 1 << 20
# RuntimeError is what zipfile raises for encryption and for unknown compression methods.
_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    OSError,
    ValueError,
    ArithmeticError,
    RuntimeError,
)


@dataclass(frozen=True)
class Limits:
    """What an archive may unpack to."""

    unpacked_bytes: int = 20_000_000_000
    members: int = 2_000_000
    member_bytes: int = 4_000_000_000


class _TooMuch(Exception):
    """The archive unpacks to more than the limits allow."""


@dataclass(frozen=True)
class _Member:
    name: str
    kind: str
    size_bytes: int
    open: Callable[[], IO[bytes]]


def extract(
    archive: Path,
    target: Path,
    wanted: Callable[[str], bool],
    limits: Limits | None = None,
    prefix: str = "",
) -> list[Bad]:
    """Unpack the wanted regular files of `archive` below `target`.

    Parameters
    ----------
    archive
        .tar (plain, gz, bz2, xz, zst) or .zip, told apart by name.
    target
        Folder to write to; made when missing.
    wanted
        Chooses members by their path.
    limits
        Caps on bytes and members; what was unpacked before a cap is kept.
    prefix
        Put before the places named in refusals.

    Returns
    -------
    list of Bad
        One row for each refused member, and one when the archive is broken or too large.
    """
    limits = limits or Limits()
    target.mkdir(parents=True, exist_ok=True)
    refused: list[Bad] = []
    place = f"{prefix}{archive.name}"
    try:
        for number, member in enumerate(_members(archive, limits), 1):
            if number > limits.members:
                raise _TooMuch(f"more than {limits.members} members")
            reason = _refusal(member)
            if reason is not None:
                refused.append(Bad(f"{place}:{printable(member.name)}", reason, f"a {member.kind} in an archive"))
            elif member.kind == "file" and wanted(member.name):
                bad = _write(member, target, place, limits)
                if bad is not None:
                    refused.append(bad)
    except _TooMuch as error:
        refused.append(Bad(place, "archive too large", f"{error}; the rest is not read"))
    except _BROKEN as error:
        refused.append(Bad(place, "broken archive", f"{type(error).__name__}: {error}; the rest is not read"))
    return refused


def strip_single_folder(target: Path) -> Path:
    """The one folder that holds everything in `target`, or `target` itself."""
    inside = list(target.iterdir())
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else target


def _refusal(member: _Member) -> str | None:
    name = member.name
    parts = name.split("/")
    if name.startswith("/") or "\\" in name or "\0" in name or (len(name) > 1 and name[1] == ":"):
        return "archive member with an absolute or foreign name"
    if ".." in parts:
        return "archive member that climbs out with '..'"
    if member.kind in ("link", "device"):
        return f"archive member is a {member.kind}"
    return None


def _write(member: _Member, target: Path, place: str, limits: Limits) -> Bad | None:
    parts = [p for p in member.name.split("/") if p not in ("", ".")]
    where = f"{place}:{printable(member.name)}"
    if member.size_bytes > limits.member_bytes:
        return Bad(where, "too large", f"{member.size_bytes} bytes, limit {limits.member_bytes}")
    file = target.joinpath(*parts)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        out = file.open("wb")
    except (OSError, ValueError) as error:
        return Bad(where, "archive member cannot be written", f"{type(error).__name__}: {error}")
    left = limits.member_bytes
    with out, member.open() as stream:
        while chunk := stream.read(_COPY_BYTES):
            left -= len(chunk)
            if left < 0:
                raise _TooMuch(f"{member.name} holds more than {limits.member_bytes} bytes")
            out.write(chunk)
    return None


def _members(archive: Path, limits: Limits) -> Iterator[_Member]:
    return _zip(archive, limits) if archive.name.lower().endswith(".zip") else _tar(archive, limits)


def _tar(archive: Path, limits: Limits) -> Iterator[_Member]:
    with (
        open_packed(archive) as stream,
        tarfile.open(fileobj=cast(IO[bytes], _Counted(stream, limits.unpacked_bytes)), mode="r|") as tar,
    ):
        for info in tar:
            kind = "file" if info.isreg() else "folder" if info.isdir() else "device"
            if info.issym() or info.islnk():
                kind = "link"
            open_member = functools.partial(_open_tar_member, tar, info)
            yield _Member(info.name, kind, info.size, open_member)
            tar.members = []  # type: ignore[attr-defined]  # no index: it would grow with the archive


def _open_tar_member(tar: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    stream = tar.extractfile(info)
    if stream is None:
        raise ValueError(f"{info.name} has no content")
    return stream


def _zip(archive: Path, limits: Limits) -> Iterator[_Member]:
    left = limits.unpacked_bytes
    with zipfile.ZipFile(archive) as packed:
        for info in packed.infolist():
            mode = info.external_attr >> 16
            kind = "folder" if info.is_dir() else "link" if (mode & 0o170000) == 0o120000 else "file"
            left -= info.file_size
            if left < 0:
                raise _TooMuch(f"more than {limits.unpacked_bytes} unpacked bytes")
            if kind == "file" and info.flag_bits & 1:
                kind = "device"  # encrypted: cannot be read, refused like anything that is no plain file
            yield _Member(info.filename, kind, info.file_size, functools.partial(packed.open, info))


def open_packed(file: Path) -> IO[bytes]:
    """A file's bytes, unpacked by its last suffix (gz, bz2, xz, zst; anything else is read as it is)."""
    name = file.name.lower()
    if name.endswith((".xz", ".txz")):
        return cast(IO[bytes], lzma.open(file))
    for suffixes, codec in (
        ((".gz", ".tgz"), "gzip"),
        ((".bz2", ".tbz2"), "bz2"),
        ((".zst", ".tzst"), "zstd"),
    ):
        if name.endswith(suffixes):
            return cast(IO[bytes], pa.input_stream(str(file), compression=codec))
    return file.open("rb")


class _Counted:
    """Passes a stream on and stops it after a number of bytes (decompression bombs)."""

    def __init__(self, stream: IO[bytes], limit: int) -> None:
        self._stream, self._left, self._limit = stream, limit, limit

    def read(self, size: int = -1) -> bytes:
        chunk = self._stream.read(size)
        self._left -= len(chunk)
        if self._left < 0:
            raise _TooMuch(f"more than {self._limit} unpacked bytes")
        return bytes(chunk)

"""Safe extraction of tar and zip archives of unknown origin.

Belongs here: taking regular files with harmless names out of an archive, within limits, and saying which
members were refused and why. Does not belong here: what the extracted files mean, compression (`packed`), the zip
format (`zips`).

No member is trusted: links, devices, absolute names and names with `..` are refused, nothing is ever written
through a link (none is created) nor over another member, and the number of unpacked bytes is capped.
"""

from __future__ import annotations

import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cpp_pipeline.dumps.items import Bad, cut_short, name_trouble, printable
from cpp_pipeline.dumps.packed import TooMuch, counted, open_packed, unpacked_limit
from cpp_pipeline.dumps.remote import NoRoom, need_room

_COPY_BYTES = 1 << 20
_MAX_HEADER_BYTES = 1_000_000
_HEADERS = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE, b"X")
_BROKEN = (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError, ValueError, ArithmeticError, RuntimeError)


@dataclass(frozen=True)
class Limits:
    """What an archive may unpack to; `unpacked_bytes` 0 means 100 times the archive, and at least 256 MB."""

    unpacked_bytes: int = 0
    members: int = 5_000_000
    member_bytes: int = 64_000_000_000


@dataclass(frozen=True)
class _Member:
    name: str
    kind: str
    size_bytes: int
    chunks: Callable[[], Iterator[bytes]]


def extract(
    archive: Path,
    target: Path,
    wanted: Callable[[str], int],
    limits: Limits | None = None,
    prefix: str = "",
) -> Iterator[Bad]:
    """Unpack the wanted regular files of `archive` below `target`.

    Parameters
    ----------
    archive
        .tar (plain, gz, bz2, xz, zst) or .zip, told apart by name.
    target
        Folder to write to; made when missing.
    wanted
        How many bytes a member of this path may have; 0 passes it over.
    limits
        Caps on bytes and members; what was unpacked before a cap is kept.
    prefix
        Put before the places named in refusals.

    Yields
    ------
    Bad
        One row for each refused member, and one when the archive is broken or too large.

    Raises
    ------
    NoRoom
        The disk is too small.
    """
    limits = limits or Limits()
    budget = limits.unpacked_bytes or unpacked_limit(archive.stat().st_size)
    target.mkdir(parents=True, exist_ok=True)
    place = f"{prefix}{archive.name}"
    written = 0
    try:
        for number, member in enumerate(_members(archive, limits, budget), 1):
            if number > limits.members:
                raise TooMuch(f"more than {limits.members} members")
            where = f"{place}:{printable(member.name)}"
            reason = name_trouble(member.name) or _kind_trouble(member.kind)
            if reason is not None:
                yield Bad(where, reason, f"a {member.kind} in an archive")
                continue
            most = min(limits.member_bytes, wanted(member.name)) if member.kind == "file" else 0
            if most and member.size_bytes > most:
                yield Bad(where, "too large", f"{member.size_bytes} bytes, limit {most}")
            elif most:
                found = _write(member, target, where, min(most, budget - written))
                if isinstance(found, Bad):
                    yield found
                else:
                    written += found
    except TooMuch as error:
        yield cut_short(place, "archive too large", error)
    except NoRoom:
        raise
    except _BROKEN as error:
        yield cut_short(place, "broken archive", f"{type(error).__name__}: {error}")


def strip_single_folder(target: Path) -> Path:
    """The one folder that holds everything in `target`, or `target` itself."""
    inside = list(target.iterdir())
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else target


def _kind_trouble(kind: str) -> str | None:
    return None if kind in ("file", "folder") else f"archive member is a {kind}"


def _write(member: _Member, target: Path, where: str, most: int) -> Bad | int:
    """The bytes written, or why the member cannot be."""
    file = target.joinpath(*(p for p in member.name.split("/") if p not in ("", ".")))
    need_room(target, min(member.size_bytes, most), where)
    if file.is_file():
        return Bad(where, "repeated archive member", "an earlier member has this name; the first one counts")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        out = file.open("xb")
    except (OSError, ValueError) as error:
        return Bad(where, "archive member cannot be written", f"{type(error).__name__}: {error}")
    written = 0
    with out:
        for chunk in member.chunks():
            written += len(chunk)
            if written > most:
                raise TooMuch(f"{member.name} holds more than the {most} bytes that are left for it")
            out.write(chunk)
    return written


def _members(archive: Path, limits: Limits, budget: int) -> Iterator[_Member]:
    return _zip(archive, limits) if archive.name.lower().endswith(".zip") else _tar(archive, budget)


class _Header(tarfile.TarInfo):
    """A header that does not read long names and attributes of any length into memory.

    Nor is one that is cut off or damaged taken for the end of the archive, which is a block of zeros; `tarfile` does so
    after the first member.
    """

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        if 0 < len(buf) < tarfile.BLOCKSIZE:  # nothing at all ends an archive as well: some writers leave no mark
            raise tarfile.ReadError("it is cut off in a header")
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if any(buf):
                raise tarfile.ReadError(f"a damaged header: {error}") from None
            raise

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in _HEADERS and self.size > _MAX_HEADER_BYTES:
            raise TooMuch(f"an extended header of {self.size} bytes")
        return super()._proc_member(tar)  # type: ignore[misc, no-any-return]


def _tar(archive: Path, budget: int) -> Iterator[_Member]:
    with (
        archive.open("rb") as raw,
        open_packed(raw, archive.name) as stream,
        tarfile.open(fileobj=counted(stream, budget), mode="r|", tarinfo=_Header) as tar,
    ):
        for info in tar:
            kind = "file" if info.isreg() else "folder" if info.isdir() else "device"
            if info.issym() or info.islnk():
                kind = "link"
            yield _Member(info.name, kind, info.size, partial(_tar_chunks, tar, info))
            tar.members = []  # type: ignore[attr-defined]  # no index: it would grow with the archive


def _tar_chunks(tar: tarfile.TarFile, info: tarfile.TarInfo) -> Iterator[bytes]:
    stream = tar.extractfile(info)
    if stream is None:
        raise ValueError(f"{info.name} has no content")
    with stream:
        while chunk := stream.read(_COPY_BYTES):
            yield chunk


def _zip(archive: Path, limits: Limits) -> Iterator[_Member]:
    from cpp_pipeline.dumps import zips  # loads numpy, which no other archive needs

    with archive.open("rb") as file:
        for entry in zips.entries(file, limits.members):
            form = entry.mode & 0o170000
            kind = "folder" if entry.name.endswith("/") else "link" if form == 0o120000 else "file"
            if entry.encrypted:
                kind = "encrypted file"
            elif form not in (0, 0o100000, 0o040000, 0o120000):
                kind = "device"
            yield _Member(entry.name, kind, entry.size_bytes, partial(zips.chunks, file, entry))

"""Messages between judge and runner: a record as JSON, and open files.

Belongs here: the shape of a message and the two ways a file travels. Whatever is large is an open file, so that
nothing is copied that need not be: the other side sees the bytes and never the folder that they lie in.
"""

from __future__ import annotations

import json
import os
import socket
import stat
import struct
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from cpp_pipeline.sandbox.isolation.process import sealed

MOST_FILES = 200
_RECORD_BYTES = 8 << 20
_BY_DESCRIPTOR = 1 << 20
_WORTH_KEEPING, _MOST_KEPT = 16 << 20, 4  # precompiled headers
_NUMBER, _SENDER = struct.Struct("i"), struct.Struct("3i")
Record = dict[str, Any]


class Lost(Exception):
    """The other side has gone, or what it sends is no message of ours."""


def name_senders(link: socket.socket) -> None:
    """Have the kernel tell with each message who sent it."""
    link.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)


def send(link: socket.socket, record: Record, files: Sequence[int] = ()) -> None:
    """One message; raises Lost."""
    with sealed(json.dumps(record).encode()) as text:
        try:
            socket.send_fds(link, [b"."], [text.fileno(), *files])
        except OSError as error:
            raise Lost(f"nothing can be sent: {error}") from error


def receive(link: socket.socket, stack: ExitStack, own_uid: int) -> tuple[Record, list[IO[bytes]]]:
    """One message from another user; its files are closed with the stack.

    The link must have been told to `name_senders`. Each message names its sender, since what SO_PEERCRED tells under
    gVisor is our own user.

    Raises
    ------
    Lost
        The connection has ended, was silent for too long, or brought no message, or one of our own user.
    """
    room = socket.CMSG_SPACE((MOST_FILES + 1) * _NUMBER.size) + socket.CMSG_SPACE(_SENDER.size)
    try:
        data, parts, _, _ = link.recvmsg(1, room, socket.MSG_CMSG_CLOEXEC)
    except OSError as error:
        raise Lost(f"nothing comes: {error}") from error
    found = {kind: part for _, kind, part in parts}
    numbers = [number for (number,) in _NUMBER.iter_unpack(found.get(socket.SCM_RIGHTS, b""))]
    files: list[IO[bytes]] = [stack.enter_context(os.fdopen(fd, "rb", buffering=0)) for fd in numbers]
    if not data or not files:
        raise Lost("the connection was closed" if not data else "a message without a record")
    _, uid, _ = _SENDER.unpack(found.get(socket.SCM_CREDENTIALS, _SENDER.pack(0, own_uid, 0)))
    if uid == own_uid:
        raise Lost(f"the other side has our own uid {uid}: give judge and runner two (runAsUser)")
    try:
        record = json.loads(content(files[0], _RECORD_BYTES))
    except ValueError as error:
        raise Lost(f"a message that cannot be read: {error}") from error
    if not isinstance(record, dict):
        raise Lost("a message that is no record")
    return record, files[1:]


def content(file: IO[bytes], most: int) -> bytes:
    """All of a regular file of at most so many bytes; raises Lost for another one."""
    found = os.fstat(file.fileno())
    if not stat.S_ISREG(found.st_mode) or found.st_size > most:  # of any other kind, it could make a reader wait
        raise Lost(f"a file of {found.st_size} bytes, mode {found.st_mode:o}; at most {most} were to come")
    data = bytearray()
    while len(data) < found.st_size and (more := os.pread(file.fileno(), found.st_size - len(data), len(data))):
        data += more
    return bytes(data)


class Parcel:
    """Files under way: small ones together in one open file, which is the first, large ones by themselves."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._small = bytearray()
        self._large: list[int] = []

    def add(self, path: Path, copied: bool = False) -> list[list[Any]]:
        """What has to be told of a file, or of all files below a folder; `copied` lets none travel by itself."""
        if path.is_file():
            return [["", *self._put(path, copied)]]
        below = sorted(p for p in path.rglob("*") if p.is_file() and not p.is_symlink())
        return [[str(p.relative_to(path)), *self._put(p, copied)] for p in below]

    def descriptors(self) -> list[int]:
        """The open files, in the order in which they are told of."""
        return [self._stack.enter_context(sealed(bytes(self._small))).fileno(), *self._large]

    def _put(self, path: Path, copied: bool) -> list[Any]:
        found = path.stat()
        mode = 0o755 if found.st_mode & stat.S_IXUSR else 0o644
        if copied or found.st_size < _BY_DESCRIPTOR or len(self._large) >= MOST_FILES // 2:
            data = path.read_bytes()
            self._small += data
            return [-1, len(self._small) - len(data), len(data), mode, ""]
        self._large.append(self._stack.enter_context(path.open("rb")).fileno())
        stamp = f"{found.st_dev}-{found.st_ino}-{found.st_mtime_ns}-{found.st_size}"
        return [len(self._large), 0, found.st_size, mode, stamp]


@dataclass(frozen=True)
class Place:
    """Where the files of a parcel are made.

    Parameters
    ----------
    files : Sequence
        The open files that came.
    small : bytes
        Content of the first of them.
    kept : Path, optional
        Folder of copies of very large files, where no box can change them. Without it, large files become links to
        their open ones, which boxes get as well.
    """

    files: Sequence[IO[bytes]]
    small: bytes
    kept: Path | None

    def make(self, told: Sequence[Sequence[Any]], target: Path) -> list[int]:
        """Make the files that a parcel tells of; gives the descriptors that they are links to.

        `target` is the file itself where its name is empty, else the folder that they lie in.
        """
        linked = []
        target.parent.mkdir(parents=True, exist_ok=True)
        if [name for name, *_ in told] != [""]:
            target.mkdir(exist_ok=True)
        for name, which, begin, size, mode, stamp in told:
            path = target / name if name else target
            path.parent.mkdir(parents=True, exist_ok=True)
            if which < 0:
                path.write_bytes(self.small[begin : begin + size])
            elif self.kept is None:
                linked.append(self.files[which].fileno())
                path.symlink_to(f"/proc/self/fd/{linked[-1]}")
                continue
            elif size < _WORTH_KEEPING:
                path.write_bytes(content(self.files[which], size))
            else:
                os.link(_copied(self.files[which], size, self.kept / stamp), path)
                continue
            path.chmod(mode)
        return linked


def _copied(file: IO[bytes], size: int, copy: Path) -> Path:
    """The copy of a large file; the one that was not used for the longest time makes room for it."""
    if not copy.exists():
        copies = sorted(copy.parent.iterdir(), key=lambda path: path.stat().st_mtime)
        for old in copies[: max(0, 1 + len(copies) - _MOST_KEPT)]:
            old.unlink()
        copy.write_bytes(content(file, size))
        copy.chmod(0o644)
    os.utime(copy)
    return copy

"""Files between a pod's scratch disk and the storage root.

    <job>/attempts/00001.json   who made an attempt; created once, so that no two attempts share a number. Here is
                                decided, once, what becomes of its files: a result, or cleared for a later attempt
    <job>/00001/files/...       what the attempt has written so far, its training state included
    <job>/00001/mirror.json     which of these files belong together
    <job>/result.json           the attempt whose files are the result; created once

Belongs here: what must hold when a pod is killed at any moment. Does not belong here: running the command
(`remote_entry`).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from upath import UPath

from cpp_pipeline.storage.place import ABSENT, Refused, at

COMMIT = "result.json"
MIRROR = "mirror.json"
_TRIES = 5
_COMMITTED, _CLEARED = "committed", "cleared"


class JobUnfinished(RuntimeError):
    """A job folder holds no committed result."""


def create_only(place: UPath, content: bytes) -> bool:
    """Create a small file that must not exist yet; False when another writer was first.

    A file with the same bytes counts as ours: an upload that was sent again finds what it has written.
    """
    try:
        at(place).write(content, ABSENT)
    except Refused:
        return at(place).read() == content
    return True


def fetch(place: UPath, target: Path) -> Path:
    """Copy a file, or a folder with all that is in it, to this machine.

    Raises
    ------
    FileNotFoundError
        Nothing lies there.
    """
    found = at(place).files()
    if not found:
        _download(place, target / place.name)
        return target / place.name
    for name in found:
        _download(place / name, target / name)
    return target


def put(source: Path, place: UPath) -> int:
    """Copy one file to storage as it is now; returns its bytes. Nothing half is ever seen there."""
    return at(place).upload(source)


class Mirror:
    """Keeps a growing folder in storage, so that another machine can go on with it."""

    def __init__(self, folder: Path, place: UPath) -> None:
        self.folder = folder
        self.place = place
        self._sent: dict[str, tuple[int, int, int]] = {}

    def push(self, final: bool = False) -> dict[str, int]:
        """Send what changed and write down what belongs together: relative path -> bytes.

        The folder's own `result.json` is sent with the final copy alone, when nothing changes any more: so an
        earlier copy never holds it without all the files that it speaks of.
        """
        for _ in range(_TRIES):
            try:
                return self._push(final)
            except _VanishedError:
                continue  # an older training state was removed meanwhile
        raise RuntimeError(f"{self.folder} changes faster than it can be copied to {self.place}")

    def _push(self, final: bool) -> dict[str, int]:
        # What lies deeper (training states) is listed first: the logs at the top, which grow, then reach at
        # least as far as every state that is sent.
        listed = [*_files(self.folder, nested=True), *_files(self.folder, nested=False)]
        sent: dict[str, tuple[int, int, int]] = {}
        for name in (n for n in listed if final or n != COMMIT):
            source = self.folder / name
            try:
                found = source.stat()
                before = self._sent.get(name)
                if before is None or before[:2] != (found.st_size, found.st_mtime_ns):
                    before = (found.st_size, found.st_mtime_ns, put(source, self.place / "files" / name))
            except FileNotFoundError as error:
                if source.exists():
                    raise
                raise _VanishedError(name) from error
            sent[name] = before
        sizes = {name: size for name, (_, _, size) in sent.items()}
        at(self.place / MIRROR).write(json.dumps({"files": sizes}, sort_keys=True).encode())
        for name in self._sent.keys() - sent.keys():
            at(self.place / "files" / name).delete()
        self._sent = sent
        return sizes


def claim(job: UPath, who: Mapping[str, str]) -> int:
    """The number of a new attempt, which no other attempt has."""
    number = 1 + attempts(job)
    while not create_only(_claim(job, number), json.dumps(dict(who)).encode()):
        number += 1
    return number


def attempts(job: UPath) -> int:
    """The number of the newest attempt; 0 before there is one."""
    return max([0, *_attempts(job)])


def restore(job: UPath, number: int, folder: Path) -> int | None:
    """Fill a folder with what the newest earlier attempt has left; returns that attempt."""
    for earlier in sorted((n for n in _attempts(job) if n < number), reverse=True):
        place = job / f"{earlier:05d}"
        mirror = at(place / MIRROR).read()
        if mirror is None:  # it ended before it had sent anything, or was cleared away
            continue
        try:
            sizes = json.loads(mirror)["files"]
            for name, size in sizes.items():
                _download(place / "files" / name, folder / name, size)
        except Exception as error:
            shutil.rmtree(folder)  # files of two attempts do not fit each other
            folder.mkdir()
            if isinstance(error, FileNotFoundError):  # it was cleared away meanwhile
                continue
            raise
        return earlier
    return None


def clear_earlier(job: UPath, number: int) -> None:
    """Remove the files of earlier attempts; their claims stay, so that numbers never come again.

    An earlier attempt may still run, on a node that was given up for lost. Once it begins to commit, its files stay.
    """
    for earlier in _attempts(job):
        if earlier < number and _decide(job, earlier, _CLEARED):
            at(job / f"{earlier:05d}").delete()


def commit(job: UPath, number: int, sizes: Mapping[str, int], facts: Mapping[str, Any]) -> bool:
    """Make an attempt's files the result; False when another attempt's are, or a later one has cleared them."""
    if not _decide(job, number, _COMMITTED):
        return False
    record = {"attempt": number, "files": dict(sizes), **facts}
    return create_only(job / COMMIT, json.dumps(record, sort_keys=True).encode())


def committed(job: UPath) -> dict[str, Any] | None:
    """The record of the result, or None."""
    content = at(job / COMMIT).read()
    return None if content is None else dict(json.loads(content))


def collect(job: UPath, folder: Path) -> dict[str, Any]:
    """Copy a committed result to this machine, its `result.json` last.

    Raises
    ------
    JobUnfinished
        There is none.
    """
    record = committed(job)
    if record is None:
        raise JobUnfinished(f"{job} holds no {COMMIT}")
    for name, size in sorted(record["files"].items(), key=lambda item: item[0] == COMMIT):
        _download(job / f"{record['attempt']:05d}" / "files" / name, folder / name, size)
    return record


def _decide(job: UPath, number: int, fate: str) -> bool:
    """Decide what becomes of an attempt's files; False when something else was decided before."""
    claim = at(_claim(job, number))
    while True:
        seen = claim.token()
        found = json.loads(claim.read() or b"{}")
        if "fate" in found:
            return bool(found["fate"] == fate)
        try:
            claim.write(json.dumps({**found, "fate": fate}).encode(), seen)
        except Refused:
            continue  # it was decided meanwhile
        return True


class _VanishedError(Exception):
    pass


def _files(folder: Path, nested: bool) -> Iterator[str]:
    """Relative paths of finished files, oldest first; what is being written is left out."""
    found = []
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        partial = any(p.startswith(".") or p.endswith((".part", ".tmp")) or ".part-" in p for p in parts)
        if not partial and path.is_file() and (len(parts) > 1) == nested:
            with suppress(FileNotFoundError):  # an older training state was removed meanwhile
                found.append((path.stat().st_mtime_ns, "/".join(parts)))
    yield from (name for _, name in sorted(found))


def _claim(job: UPath, number: int) -> UPath:
    return job / "attempts" / f"{number:05d}.json"


def _attempts(job: UPath) -> list[int]:
    return [int(n.removesuffix(".json")) for n in at(job / "attempts").names() if not n.startswith(".")]


def _download(place: UPath, target: Path, size: int | None = None) -> None:
    """Copy a file here, of one that grows only the first `size` bytes."""
    partial = target.with_name(f".{target.name}.tmp")
    at(place).download(partial)
    if size is not None:
        if partial.stat().st_size < size:
            raise FileNotFoundError(f"{place} has {partial.stat().st_size} bytes, not {size}")
        os.truncate(partial, size)
    os.replace(partial, target)

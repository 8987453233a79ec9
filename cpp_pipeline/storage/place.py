"""A place below the storage root: a file or folder of this machine, or an object or prefix of a bucket.

Belongs here: reading, writing whole or not at all, and writing only while nobody else has. Does not belong here: what
lies where (`store`), and how a table or folder of several objects becomes visible at once (`versions`).
"""

from __future__ import annotations

import fcntl
import os
import shutil
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from cpp_pipeline.dumps.remote import is_remote, local_path

ABSENT = ""
"""The token of a place where nothing lies."""
SCHEME = "gs"


class Refused(RuntimeError):
    """Another writer was first."""


class Place(ABC):
    """What can be done at a place. Everything below a prefix counts as a folder's content."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __str__(self) -> str:
        return self.url

    @abstractmethod
    def read(self) -> bytes | None:
        """A small file's content; None when nothing lies there."""

    @abstractmethod
    def token(self) -> str:
        """Changes with every write of this file; `ABSENT` when nothing lies there."""

    @abstractmethod
    def size(self) -> int:
        """Bytes of a file. Raises FileNotFoundError when nothing lies there."""

    @abstractmethod
    def names(self) -> list[str]:
        """Names directly below, files and folders, sorted."""

    @abstractmethod
    def files(self) -> dict[str, float]:
        """All files below by relative path, with the time of their last change in seconds since 1970."""

    @abstractmethod
    def write(self, content: bytes, replaces: str | None = None) -> None:
        """Write a small file; readers see the old one or the new one.

        Parameters
        ----------
        replaces
            The token of what may be replaced, `ABSENT` for a file that must be new; None for anything.

        Raises
        ------
        Refused
            Something else lies there.
        """

    @abstractmethod
    def upload(self, source: Path) -> int:
        """Copy a local file there as it is now; returns its bytes. Nothing half is ever seen."""

    @abstractmethod
    def download(self, target: Path) -> None:
        """Copy a file here. Raises FileNotFoundError when nothing lies there."""

    @abstractmethod
    def delete(self) -> None:
        """Remove a file, or a folder with all that is in it; nothing there is no error."""

    def refusal(self) -> Refused:
        """What to tell the writer who came second."""
        return Refused(
            f"{self.url}: another writer has put something there since this one began, and it stays. Let one run at "
            "a time work on a storage root, and run again: what is current is kept"
        )


def at(place: object) -> Place:
    """The place of a path or URL.

    Raises
    ------
    ValueError
        The URL is neither a local path nor `gs://bucket/...`; names the setting.
    """
    url = str(place)
    if not is_remote(url) and not url.startswith(f"{SCHEME}:"):
        return LocalPlace(local_path(url))
    parts = urlsplit(url)
    if parts.scheme != SCHEME or not parts.netloc:
        raise ValueError(f"CPP_PIPELINE_ROOT={url}: not a storage root; use a folder or gs://bucket/prefix")
    from cpp_pipeline.storage.gcs import GcsPlace

    return GcsPlace(url)


class LocalPlace(Place):
    """A file or folder of this machine."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self.path = path

    def read(self) -> bytes | None:
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return None

    def token(self) -> str:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return ABSENT
        return f"{found.st_ino}-{found.st_mtime_ns}"

    def size(self) -> int:
        return self.path.stat().st_size

    def names(self) -> list[str]:
        return sorted(p.name for p in self.path.iterdir()) if self.path.is_dir() else []

    def files(self) -> dict[str, float]:
        found = (p for p in self.path.rglob("*") if p.is_file())
        return {p.relative_to(self.path).as_posix(): p.stat().st_mtime for p in found}

    def write(self, content: bytes, replaces: str | None = None) -> None:
        with self.partial() as partial:
            partial.write_bytes(content)
            flush(partial)
            self.put_in_place(partial, replaces)

    def upload(self, source: Path) -> int:
        with self.partial() as partial, source.open("rb") as reader, partial.open("wb") as writer:
            shutil.copyfileobj(reader, writer)
            writer.flush()
            self.put_in_place(partial)
            return reader.tell()

    def download(self, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        if self.path.is_dir():
            raise FileNotFoundError(f"{self.url} is a folder, not a file")
        shutil.copyfile(self.path, target)

    def delete(self) -> None:
        if self.path.is_dir():
            shutil.rmtree(self.path)
        else:
            self.path.unlink(missing_ok=True)

    @contextmanager
    def partial(self) -> Iterator[Path]:
        """A hidden path on the same disk for what is being written; gone at the end of the block."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex}.tmp")
        try:
            yield partial
        finally:
            partial.unlink(missing_ok=True)

    def put_in_place(self, partial: Path, replaces: str | None = None) -> None:
        """Make a finished file this one, by one rename. Raises Refused as `write` does."""
        if replaces is None:
            os.replace(partial, self.path)
        elif replaces == ABSENT:
            try:
                os.link(partial, self.path)  # unlike a rename, fails when the target exists
            except FileExistsError:
                raise self.refusal() from None
        else:
            with self.held(replaces):
                os.replace(partial, self.path)

    @contextmanager
    def held(self, replaces: str | None) -> Iterator[None]:
        """Keep other writers of this folder out, and see that nobody has written here before them."""
        handle = os.open(self.path.parent, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if replaces is not None and self.token() != replaces:
                raise self.refusal()
            yield
        finally:
            os.close(handle)


def flush(path: Path) -> None:
    """Force a file's bytes to disk, so that a rename never shows an empty one after a crash."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

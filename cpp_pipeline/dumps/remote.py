"""Dumps in object stores: gs://, and any other URL that fsspec knows.

Belongs here: listing objects, opening them as streams, and copying a few of them to a scratch folder. Does not
belong here: what they mean. `file://` URLs are local paths.

Nothing is downloaded to list a dump: an object's generation, etag or time stands for its content. Tables are
read as streams; what libraries read as files (archives, repositories, source trees) is copied to scratch, one
archive or one top folder at a time, after a look at the disk.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import unquote, urlsplit

from cpp_pipeline.dumps.items import Bad, cut_short, name_trouble, printable

_IN_PROCESS = ("memory",)
_VERSIONS = ("generation", "etag", "ETag", "md5Hash", "crc32c", "mtime", "LastModified", "updated", "created")
_COPIES_AT_ONCE = 128
_STREAM_BLOCK_BYTES = 8 << 20


class NoRoom(OSError):
    """The scratch disk is too small for what a dump needs."""


@dataclass(frozen=True)
class Object:
    """An object below a dump: its path there, its size, and a text that changes with its content."""

    path: str
    size_bytes: int
    version: str


@dataclass(frozen=True)
class Remote:
    """A URL and the file system that serves it."""

    system: Any
    root: str

    def is_folder(self) -> bool:
        """Whether objects lie below the URL. Raises FileNotFoundError when nothing lies there at all."""
        if self.system.isfile(self.root):
            return False
        if self.system.isdir(self.root):
            return True
        raise FileNotFoundError(f"dump not found: nothing lies at {self.system.unstrip_protocol(self.root)}")

    def tops(self, folder: str = "") -> tuple[list[str], list[Object]]:
        """Folders and objects directly below the URL or one of its folders, each sorted by name."""
        place = f"{self.root}/{folder}".rstrip("/")
        found = [e for e in self.system.ls(place, detail=True) if e["name"].rstrip("/") != place]
        names = {e["name"].rstrip("/"): e for e in found}
        folders = sorted(n.rpartition("/")[2] for n, e in names.items() if e["type"] == "directory")
        objects = [self._object(e) for e in names.values() if e["type"] != "directory"]
        return folders, sorted(objects, key=lambda o: o.path)

    def objects(self, folder: str = "") -> Iterator[Object]:
        """Everything below a folder, folder by folder; one folder's names are in memory."""
        todo = [folder]
        while todo:
            current = todo.pop()
            folders, objects = self.tops(current)
            yield from objects
            todo += [f"{current}/{name}".lstrip("/") for name in reversed(folders)]

    def object(self) -> Object:
        """The URL itself, when it is one object."""
        info = self.system.info(self.root)
        return Object(self.root.rpartition("/")[2], int(info["size"] or 0), _version(info))

    def url(self, path: str) -> str:
        """URL of an object below this one."""
        return str(self.system.unstrip_protocol(f"{self.root}/{path}"))

    def copy(self, folder: str, target: Path, wanted: Callable[[str], int], bad: list[Bad]) -> None:
        """Copy the wanted objects below a folder to `target`; those that may not become files go to `bad`.

        `wanted` gives the bytes that an object of a path may have, 0 for one that is passed over.

        Raises
        ------
        NoRoom
            The disk is too small for them.
        """
        chosen: list[tuple[str, Path]] = []
        total = 0
        for found in self.objects(folder):
            path = found.path[len(folder) :].lstrip("/")
            trouble = name_trouble(path)
            if trouble is not None:
                bad.append(Bad(printable(found.path), trouble, "an object's name"))
            elif (most := wanted(path)) and found.size_bytes > most:
                bad.append(Bad(printable(found.path), "too large", f"{found.size_bytes} bytes, limit {most}"))
            elif most:
                chosen.append((f"{self.root}/{found.path}", target / path))
                total += found.size_bytes
        need_room(target, total, self.url(folder))
        for begin in range(0, len(chosen), _COPIES_AT_ONCE):
            self._get(chosen[begin : begin + _COPIES_AT_ONCE], bad)

    def _get(self, files: list[tuple[str, Path]], bad: list[Bad]) -> None:
        ready: list[tuple[str, Path]] = []
        for source, file in files:
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:  # an object `a` beside objects `a/b`
                bad.append(cut_short(printable(source[len(self.root) + 1 :]), "not copied", error))
                continue
            ready.append((source, file))
        if ready:
            self.system.get([s for s, _ in ready], [str(f) for _, f in ready])

    def _object(self, info: dict[str, Any]) -> Object:
        name = str(info["name"])
        return Object(name[len(self.root) :].lstrip("/"), int(info.get("size") or 0), _version(info))


def _version(info: dict[str, Any]) -> str:
    return next((f"{key} {info[key]}" for key in _VERSIONS if info.get(key)), "")


def is_remote(path: Path | str) -> bool:
    """True for a URL of anything but local files."""
    return "://" in str(path) and not str(path).startswith("file://")


def local_path(path: Path | str) -> Path:
    """A local path, also of a `file://` URL."""
    text = str(path)
    return Path(unquote(urlsplit(text).path)) if text.startswith("file://") else Path(text)


def is_in_process(path: Path | str) -> bool:
    """True for file systems that other processes cannot see."""
    return str(path).split("://")[0] in _IN_PROCESS


def file_name(path: Path | str) -> str:
    """Last part of a path or URL."""
    return str(path).rstrip("/").rpartition("/")[2]


def open_remote(path: Path | str) -> Remote:
    """The file system of a URL.

    Raises
    ------
    ValueError
        No installed package serves the URL; names what to install.
    """
    import fsspec  # only here: processes that read local dumps start without it

    try:
        # a remembered listing would hide what others have changed since
        system, root = fsspec.url_to_fs(str(path), use_listings_cache=False)
    except (ImportError, ValueError) as error:
        remedy = "pip install 'cpp_pipeline[gcs]'" if str(path).startswith(("gs://", "gcs://")) else "see fsspec"
        raise ValueError(f"{path} cannot be read: {error}; {remedy}") from error
    return Remote(system, root.rstrip("/"))


def open_file(place: str, start: int = 0) -> IO[bytes]:
    """A local file or an object as a stream of bytes, from byte `start` on."""
    if is_remote(place):
        found = open_remote(place)
        stream = found.system.open(found.root, "rb", block_size=_STREAM_BLOCK_BYTES, cache_type="readahead")
    else:
        stream = local_path(place).open("rb")
    if start:
        stream.seek(start)
    return cast(IO[bytes], stream)


def size_of(place: str) -> int:
    """Bytes of a local file or an object."""
    return open_remote(place).object().size_bytes if is_remote(place) else local_path(place).stat().st_size


def need_room(folder: Path, size_bytes: int, what: str) -> None:
    """Check that the disk of `folder` holds `size_bytes` more.

    Raises
    ------
    NoRoom
        With the need, what is free, and what to do.
    """
    above = next(p for p in (folder, *folder.parents) if p.exists())
    free = shutil.disk_usage(above).free
    if size_bytes > free:
        raise NoRoom(
            f"{what} takes {size_bytes / 1e9:.1f} GB of scratch space and {above} has {free / 1e9:.1f} GB free; "
            "set TMPDIR to a folder on a larger disk"
        )

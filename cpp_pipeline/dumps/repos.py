"""The repositories of a dump folder, and the files of each.

Belongs here: telling one source tree from a folder of many, finding git clones and bare mirrors, walking
plain folders without following links. Does not belong here: archives and object stores (`parts`), reading text, or
what a file means.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cpp_pipeline.dumps.gitdir import git_dir
from cpp_pipeline.dumps.items import MAX_PATH_BYTES, Bad, Entry, cut_short, path_text
from cpp_pipeline.dumps.kinds import language_of
from cpp_pipeline.dumps.licences import is_licence_file
from cpp_pipeline.dumps.registry import file_kind
from cpp_pipeline.dumps.textguard import MAX_BYTES

_MAX_GROUP_DEPTH = 3
# A folder with one of these at its top is one project, not a collection of projects.
_PROJECT_FOLDERS = frozenset(("src", "include", "lib", "source", "sources", "test", "tests", "cmake", "docs"))
_PROJECT_FILE = re.compile(
    r"readme.*|(un)?licen[cs]e.*|copying.*|makefile.*|configure(\..*)?|meson\.build|build(\.bazel)?", re.I
)
_LICENCE_BYTES = 200_000
# What a bare mirror is read from; its folder may have any name.
_BARE_FILES, _BARE_FOLDERS = ("HEAD", "packed-refs", "shallow"), ("objects", "refs")
_GIT_FILE_BYTES = 64_000_000_000


@dataclass(frozen=True)
class Repo:
    """One repository of a dump: its name, where it lies, and whether it is a git clone or mirror."""

    name: str
    folder: Path
    git: bool


@dataclass(frozen=True)
class Loose:
    """A file at the top of a collection that holds files itself: an archive, JSONL or parquet (path or URL)."""

    name: str
    file: Path | str
    kind: str


def find(root: Path, bad: list[Bad]) -> tuple[list[Repo], list[Loose]]:
    """Repositories below a dump folder, and dump files beside them, both in the order of their names.

    A folder that is a project itself is the one repository '.'; in a collection each folder is a repository,
    and folders that only group clones are looked into, three levels deep. Source files that lie beside clones
    belong to no repository and go to `bad`.
    """
    if git_dir(root) is not None:
        return [Repo(".", root, True)], []
    loose = _loose_files(root)
    children = [c for c in root.iterdir() if c.is_dir() and not c.is_symlink()]
    clones = any(git_dir(c) is not None for c in children)
    if not clones and _is_project(root, weak_marks=not loose):
        return [Repo(".", root, False)], []
    for item in sorted(root.iterdir()):
        if not item.is_dir() and language_of(item.name) is not None:
            bad.append(Bad(item.name, "source beside repositories", "belongs to no repository of the dump"))
    repos: list[Repo] = []
    _collect(root, "", 0, repos)
    return repos, loose


def _loose_files(root: Path) -> list[Loose]:
    """Archives, JSONL and parquet at the top, or in `data/` as data sets are often laid out."""
    folders = [f for f in (root, root / "data") if f.is_dir() and not f.is_symlink()]
    return [
        Loose(f.relative_to(root).as_posix(), f, kind)
        for folder in folders
        for f in sorted(folder.iterdir())
        if f.is_file() and not f.is_symlink() and (kind := file_kind(f.name)) is not None
    ]


def _collect(folder: Path, prefix: str, depth: int, repos: list[Repo]) -> None:
    for child in sorted(folder.iterdir()):
        if child.is_symlink() or not child.is_dir():
            continue
        name = prefix + path_text(os.fsencode(child.name))
        if git_dir(child) is not None:
            repos.append(Repo(name, child, True))
        elif depth + 1 < _MAX_GROUP_DEPTH and not _is_project(child) and _groups_clones(child, depth + 1):
            _collect(child, name + "/", depth + 1, repos)
        else:
            repos.append(Repo(name, child, False))


def grouped(folder: Path, name: str) -> list[Repo]:
    """The repositories of one top folder of a dump called `name`, or of a whole dump ('')."""
    if git_dir(folder) is None and name and not _is_project(folder) and _groups_clones(folder, 1):
        repos: list[Repo] = []
        _collect(folder, name + "/", 1, repos)
        return repos
    return [Repo(name or ".", folder, git_dir(folder) is not None)]


def _groups_clones(folder: Path, depth: int) -> bool:
    below = [c for c in folder.iterdir() if c.is_dir() and not c.is_symlink()]
    if any(git_dir(c) is not None for c in below):
        return True
    return depth + 1 < _MAX_GROUP_DEPTH and any(_groups_clones(c, depth + 1) for c in below)


def _is_project(folder: Path, weak_marks: bool = True) -> bool:
    with os.scandir(folder) as found:
        return looks_like_project(((item.name, item.is_dir()) for item in found), weak_marks)


def looks_like_project(names: Iterable[tuple[str, bool]], weak_marks: bool = True) -> bool:
    """Whether what lies at the top of a folder, as (name, is a folder), makes it one source tree."""
    return any(
        name in _PROJECT_FOLDERS
        if is_folder
        else language_of(name) is not None or (weak_marks and _PROJECT_FILE.fullmatch(name) is not None)
        for name, is_folder in names
    )


def folder_entries(folder: Path, bad: list[Bad], place: str) -> Iterator[Entry]:
    """The regular files of a plain folder in the order of their paths, `.git` folders left out.

    Links are not followed and pipes or devices not opened: those with a source name go to `bad`.
    """
    root = folder.resolve()
    for item, path in walk(folder, bad, place):
        info = item.stat(follow_symlinks=False)
        mode = info.st_mode
        if stat.S_ISREG(mode):
            yield Entry(path, info.st_size, partial(_read_regular, item.path))
        elif stat.S_ISLNK(mode):
            target = os.path.realpath(item.path)
            inside = Path(target).is_relative_to(root)
            if language_of(path) is not None or os.path.isdir(target):
                reason = "symbolic link" if inside else "symbolic link out of the repository"
                bad.append(
                    Bad(
                        f"{place}/{path}",
                        reason,
                        f"points to {path_text(os.fsencode(os.readlink(item.path)))}; not followed",
                    )
                )
        elif language_of(path) is not None:
            bad.append(Bad(f"{place}/{path}", "no regular file", f"mode {mode:o}; not opened"))


def _read_regular(path: str) -> bytes:
    """At most one byte more than a source file may have; never through a link, and never waiting for a pipe."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return os.read(handle, MAX_BYTES + 1)
    finally:
        os.close(handle)


def walk(folder: Path, bad: list[Bad], place: str) -> Iterator[tuple[os.DirEntry[str], str]]:
    """Everything below `folder` that is no folder, ordered by path; '.git' folders are left out.

    Folders that cannot be listed, or whose path is longer than any program takes, go to `bad`.
    """
    todo: list[tuple[str, str]] = [(str(folder), "")]
    while todo:
        current, prefix = todo.pop()
        try:
            if len(prefix.encode()) > MAX_PATH_BYTES:
                raise OSError(f"a path of more than {MAX_PATH_BYTES} bytes")
            with os.scandir(current) as found:
                items = sorted(found, key=lambda e: e.name)
        except OSError as error:
            bad.append(cut_short(f"{place}/{prefix[:200]}", "unreadable folder", f"{type(error).__name__}: {error}"))
            continue
        folders = []
        for item in items:
            path = prefix + path_text(os.fsencode(item.name))
            if not item.is_dir(follow_symlinks=False):
                yield item, path
            elif item.name != ".git":
                folders.append((item.path, path + "/"))
        todo += reversed(folders)


def wanted_member(path: str) -> int:
    """Bytes that a reader takes of a file in an archive or bucket; 0 for what it does not need at all.

    Needed are sources, licences, and the inside of git repositories.
    """
    *folders, name = path.split("/")
    if name in _BARE_FILES or any(part.endswith(".git") or part in _BARE_FOLDERS for part in folders):
        return _GIT_FILE_BYTES
    return MAX_BYTES if language_of(path) is not None or is_licence_file(path) else 0


def licence_texts(entries: list[Entry], bad: list[Bad], place: str) -> dict[str, str]:
    """Path -> text of the licence files among `entries`; unreadable ones go to `bad`."""
    texts: dict[str, str] = {}
    for entry in entries:
        if entry.size_bytes > max(_LICENCE_BYTES, MAX_BYTES):
            continue
        try:
            texts[entry.path] = entry.read()[:_LICENCE_BYTES].decode(errors="replace")
        except (OSError, KeyError) as error:
            bad.append(Bad(f"{place}/{entry.path}", "unreadable", f"{type(error).__name__}: {error}"))
    return texts

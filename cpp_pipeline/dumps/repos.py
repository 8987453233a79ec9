"""The repositories of a dump folder, and the files of each.

Belongs here: telling one source tree from a folder of many, finding git clones and bare mirrors, walking
plain folders without following links. Does not belong here: reading text, or what a file means.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cpp_pipeline.dumps import archives
from cpp_pipeline.dumps.gitstore import git_dir
from cpp_pipeline.dumps.items import Bad, Entry, path_text
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
_DEBIAN = re.compile(r"(?P<package>[a-z0-9][a-z0-9.+-]*)_[^_]+?\.(?P<part>orig(-[A-Za-z0-9-]+)?|debian)\.tar\.\w+")
_LICENCE_BYTES = 200_000


@dataclass(frozen=True)
class Repo:
    """One repository of a dump: its name, where it lies, and whether it is a git clone or mirror."""

    name: str
    folder: Path
    git: bool


@dataclass(frozen=True)
class Loose:
    """A file at the top of a collection that holds files itself: an archive, JSONL or parquet."""

    name: str
    file: Path
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


def _groups_clones(folder: Path, depth: int) -> bool:
    below = [c for c in folder.iterdir() if c.is_dir() and not c.is_symlink()]
    if any(git_dir(c) is not None for c in below):
        return True
    return depth + 1 < _MAX_GROUP_DEPTH and any(_groups_clones(c, depth + 1) for c in below)


def _is_project(folder: Path, weak_marks: bool = True) -> bool:
    for item in folder.iterdir():
        if item.is_dir():
            if item.name in _PROJECT_FOLDERS:
                return True
        elif language_of(item.name) is not None or (weak_marks and _PROJECT_FILE.fullmatch(item.name)):
            return True
    return False


def folder_entries(folder: Path, bad: list[Bad], place: str) -> Iterator[Entry]:
    """The regular files of a plain folder in the order of their paths, `.git` folders left out.

    Links are not followed and pipes or devices not opened: those with a source name go to `bad`.
    """
    root = folder.resolve()
    for item, path in walk(folder):
        mode = item.stat(follow_symlinks=False).st_mode
        if stat.S_ISREG(mode):
            yield Entry(path, item.stat(follow_symlinks=False).st_size, Path(item.path).read_bytes)
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


def walk(folder: Path) -> Iterator[tuple[os.DirEntry[str], str]]:
    """Everything below `folder` that is no folder, ordered by path; '.git' folders are left out."""
    todo: list[tuple[str, str]] = [(str(folder), "")]
    while todo:
        current, prefix = todo.pop()
        with os.scandir(current) as found:
            items = sorted(found, key=lambda e: e.name)
        folders = []
        for item in items:
            path = prefix + path_text(os.fsencode(item.name))
            if not item.is_dir(follow_symlinks=False):
                yield item, path
            elif item.name != ".git":
                folders.append((item.path, path + "/"))
        todo += reversed(folders)


def wanted_member(path: str) -> bool:
    """True for what a reader of archives needs: sources, licences, and the inside of git repositories."""
    in_git = any(part.endswith(".git") for part in path.split("/")[:-1])
    return in_git or language_of(path) is not None or is_licence_file(path)


def unpack(loose: list[Loose], scratch: Path, bad: list[Bad]) -> list[Repo]:
    """Extract archives below `scratch`; returns the repositories that they hold.

    The parts of one Debian source package (`.orig.tar`, `.debian.tar`) become one repository with the
    package's name, without the top folder that upstream archives have. Any other archive holds what a dump
    folder holds; its repositories keep their names, or get the archive's when it is one tree.
    """
    repos: list[Repo] = []
    packages: dict[str, Path] = {}
    for item in (f for f in loose if f.kind == "archive"):
        place = item.name.removesuffix(item.file.name)
        target = scratch / item.name
        debian = _DEBIAN.fullmatch(item.file.name)
        bad += archives.extract(item.file, target, wanted_member, prefix=place)
        if debian is None:
            inside, _ = find(target, bad)
            stem = path_text(os.fsencode(item.file.name.split(".")[0])) or item.name
            repos += [Repo(stem, r.folder, r.git) if r.name == "." else r for r in inside]
            continue
        folder = packages.setdefault(debian["package"], scratch / "debian" / debian["package"])
        folder.mkdir(parents=True, exist_ok=True)
        top = target if debian["part"] == "debian" else archives.strip_single_folder(target)
        if debian["part"].startswith("orig-"):
            folder = folder / debian["part"].removeprefix("orig-")
        shutil.copytree(top, folder, dirs_exist_ok=True)
        shutil.rmtree(target)
    return sorted(repos + [Repo(name, folder, False) for name, folder in packages.items()], key=lambda r: r.name)


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

"""Where a git repository of unknown origin lies, and what its plain files say: HEAD, refs, borrowed objects.

Belongs here: finding a repository, refusing what reaches out of the dump, and its refs. Does not belong here:
objects (`gitstore`), for which libgit2 has to be loaded: a tenth of a second in every process that needs it.

Neither git nor libgit2 ever sees the repository's configuration, hooks or attributes: only the object
database is opened; HEAD, refs, packed-refs and shallow are read as plain text. So nothing in a dump can start
a program, and a missing object is a KeyError rather than a download.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

_MAX_META_BYTES = 256_000_000
_REF = re.compile(r"refs/[A-Za-z0-9._/@+=,#-]+")
_HEX = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


class UnreadableRepository(ValueError):
    """The repository cannot be read, or may not be because it reaches out of the dump."""

    reason = "unreadable repository"


class UnsupportedRepository(UnreadableRepository):
    """It is whole, and of a kind whose history is not read."""

    reason = "unsupported repository"


class EmptyRepository(UnreadableRepository):
    """It has no commit yet."""

    reason = "empty repository"


def git_dir(folder: Path) -> Path | None:
    """Where the repository of a clone or a bare mirror lies; None for a plain folder."""
    for candidate in (folder / ".git", folder):
        if (
            candidate.is_dir()
            and not candidate.is_symlink()
            and (candidate / "objects").is_dir()
            and (candidate / "HEAD").is_file()
        ):
            return candidate
    return None


@dataclass(frozen=True)
class GitDir:
    """What a repository says of itself in plain text.

    Attributes
    ----------
    folder
        Where `objects` lies; neither it nor what it borrows from leaves the dump.
    head
        Id that HEAD names, 40 hex digits; whether it is a commit is not known yet.
    refs
        All refs with their ids.
    shallow
        Commits whose parents are not in the repository.
    """

    folder: Path
    head: str
    refs: dict[str, str]
    shallow: frozenset[str]


def read_git_dir(folder: Path, dump_root: Path) -> GitDir:
    """HEAD and refs of the repository of `folder`.

    Raises
    ------
    UnreadableRepository
        No HEAD, an unsupported format, or files that reach out of `dump_root`.
    """
    found = git_dir(folder)
    if found is None:
        raise UnreadableRepository("no git repository")
    if (found / "commondir").exists():
        raise UnsupportedRepository("the repository keeps its objects elsewhere (commondir)")
    _check_objects(found / "objects", dump_root.resolve(), set())
    refs = _all_refs(found)
    head = _head(found, refs)
    if len(head) != 40:
        raise UnsupportedRepository("SHA-256 repositories are not supported")
    return GitDir(found, head, refs, frozenset(_hex_lines(_text(found / "shallow"))))


def _check_objects(objects: Path, root: Path, seen: set[Path]) -> None:
    """Only folders and regular files inside the dump: a link or a pipe could lead out or block."""
    real = objects.resolve()
    if not real.is_relative_to(root):
        raise UnreadableRepository(f"objects lie outside the dump: {real}")
    if real in seen:
        return
    seen.add(real)
    todo = [real]
    while todo:
        with os.scandir(todo.pop()) as found:
            for item in found:
                if item.is_dir(follow_symlinks=False):
                    todo.append(Path(item.path))
                elif not stat.S_ISREG(item.stat(follow_symlinks=False).st_mode):
                    raise UnreadableRepository(f"{item.path} is no regular file")
    for line in _text(real / "info" / "alternates").splitlines():
        if line.strip() and not line.startswith("#"):
            other = (real / line.strip()).resolve()
            if not other.is_dir() or not other.is_relative_to(root):
                raise UnreadableRepository(f"alternates point outside the dump: {line.strip()}")
            _check_objects(other, root, seen)


def _text(file: Path) -> str:
    """A small text file; empty when missing. Links, pipes and devices are not opened."""
    try:
        info = file.lstat()
    except (OSError, ValueError):
        return ""
    if not stat.S_ISREG(info.st_mode) or info.st_size > _MAX_META_BYTES:
        return ""
    return file.read_text(encoding="utf-8", errors="replace")


def _hex_lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if _HEX.fullmatch(line.strip())]


def _all_refs(found: Path) -> dict[str, str]:
    refs: dict[str, str] = {}
    for line in _text(found / "packed-refs").splitlines():
        oid, _, ref = line.strip().partition(" ")
        if _HEX.fullmatch(oid) and _REF.fullmatch(ref):
            refs[ref] = oid
    top = found / "refs"
    todo = [top] if top.is_dir() and not top.is_symlink() else []
    while todo:
        with os.scandir(todo.pop()) as items:
            for item in items:
                if item.is_dir(follow_symlinks=False):
                    todo.append(Path(item.path))
                    continue
                value = _text(Path(item.path)).strip()
                if _HEX.fullmatch(value):
                    refs[Path(item.path).relative_to(found).as_posix()] = value
    return refs


def _has_objects(found: Path) -> bool:
    return any(next(folder.iterdir(), None) for folder in (found / "objects").iterdir() if folder.is_dir())


def _head(found: Path, refs: dict[str, str]) -> str:
    value = _text(found / "HEAD").strip()
    if _HEX.fullmatch(value):
        return value
    named = value.removeprefix("ref:").strip()
    usual = [f"refs/{where}/{name}" for where in ("heads", "remotes/origin") for name in ("main", "master")]
    branches = [named, *usual, *sorted(r for r in refs if r.startswith("refs/heads/"))]
    for ref in branches:
        if ref in refs:
            return refs[ref]
    trouble = UnreadableRepository if refs or _has_objects(found) else EmptyRepository
    raise trouble(f"HEAD names {named!r}, which does not exist, and there is no other branch")

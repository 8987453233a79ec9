"""Git repositories of unknown origin, read as object stores.

Belongs here: opening a repository's object database, and reading trees and blobs. Does not belong here: finding
it and its refs (`gitdir`), and which files or commits are wanted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import cast

import pygit2

from cpp_pipeline.dumps.gitdir import UnreadableRepository, read_git_dir
from cpp_pipeline.dumps.items import MAX_PATH_BYTES, Bad, Entry, cut_short, path_text

pygit2.settings.owner_validation = False

MAX_ENTRIES = 2_000_000
MAX_VISITS = 1_000
"""How often one folder is read at different paths; ten objects can hold ten billion files."""
MAX_TREE_BYTES = 32_000_000
MAX_COMMIT_BYTES = 1_000_000
_FORBIDDEN_NAMES = (b"", b".", b"..")
_REGULAR = (0o100644, 0o100755, 0o100664)


class TooLarge(KeyError):
    """The object is too large to be unpacked; for a reader it is missing."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class GitStore:
    """One repository's objects.

    Attributes
    ----------
    odb, objects
        The object database, and a repository without configuration on top of it.
    head
        Commit id of HEAD, 40 hex digits.
    refs
        All refs with their ids.
    shallow
        Commits whose parents are not in the repository.
    """

    odb: pygit2.Odb
    objects: pygit2.Repository
    head: str
    refs: dict[str, str]
    shallow: frozenset[str]

    def size(self, oid: pygit2.Oid) -> int:
        """Bytes of an object, without unpacking it. Raises KeyError when it is missing or damaged."""
        try:
            return int(self.odb.read_header(oid)[1])
        except pygit2.GitError as error:
            raise KeyError(f"{oid}: {error}") from error

    def within(self, oid: pygit2.Oid | str, limit: int) -> pygit2.Oid | str:
        """The id again; raises KeyError when the object is missing and TooLarge when it has more bytes."""
        size = self.size(pygit2.Oid(hex=oid) if isinstance(oid, str) else oid)
        if size > limit:
            raise TooLarge(f"an object of {size} bytes, limit {limit}")
        return oid

    def commit(self, oid: pygit2.Oid | str) -> pygit2.Commit:
        """A commit; KeyError when it is missing, TooLarge (a KeyError too) when its text is absurd."""
        return cast(pygit2.Commit, self._object(self.within(oid, MAX_COMMIT_BYTES)))

    def tree(self, oid: pygit2.Oid) -> pygit2.Tree:
        """A tree; KeyError when it is missing, TooLarge (a KeyError too) when it has too many entries to hold."""
        found = self._object(self.within(oid, MAX_TREE_BYTES))
        if not isinstance(found, pygit2.Tree):
            raise KeyError(f"{oid} is no tree")
        return found

    def _object(self, oid: pygit2.Oid | str) -> pygit2.Object:
        try:
            return self.objects[oid]
        except pygit2.GitError as error:
            raise KeyError(f"{oid}: {error}") from error

    def data(self, oid: pygit2.Oid) -> bytes:
        """Bytes of an object. Raises KeyError when it is missing or damaged."""
        try:
            return self.odb.read(oid)[1]
        except pygit2.GitError as error:
            raise KeyError(f"{oid}: {error}") from error


def open_store(folder: Path, dump_root: Path) -> GitStore:
    """Open the repository of `folder`.

    Raises
    ------
    UnreadableRepository
        No commit at HEAD, an unsupported format, or files that reach out of `dump_root`.
    """
    found = read_git_dir(folder, dump_root)
    odb = pygit2.Odb(str(found.folder / "objects"))
    objects = pygit2.Repository()
    objects.set_odb(odb)
    store = GitStore(odb, objects, found.head, found.refs, found.shallow)
    try:
        commit = cast(pygit2.Object, store.commit(found.head)).peel(pygit2.Commit)
    except (KeyError, ValueError, pygit2.GitError) as error:
        raise UnreadableRepository(f"HEAD {found.head} is no readable commit: {error}") from error
    return replace(store, head=str(commit.id))


def ref_listing(folder: Path, dump_root: Path) -> str:
    """HEAD and all refs as sorted text: it identifies the content without hashing the objects."""
    try:
        store = open_store(folder, dump_root)
    except UnreadableRepository as error:
        return f"unreadable: {error}\n"
    return f"HEAD {store.head}\n" + "".join(f"{oid} {ref}\n" for ref, oid in sorted(store.refs.items()))


def head_entries(store: GitStore, bad: list[Bad], place: str) -> Iterator[Entry]:
    """The regular files of HEAD's tree in the order of its entries.

    Submodules, symbolic links and missing trees go to `bad`.
    """
    commit = store.commit(store.head)
    # (path, id, mode), the last one is next; a tree's entries are pushed in reverse to come out in order.
    todo: list[tuple[bytes, pygit2.Oid, int]] = [(b"", commit.tree_id, 0o040000)]
    visits: Counter[pygit2.Oid] = Counter()
    seen = 0
    while todo:
        raw, oid, mode = todo.pop()
        path = path_text(raw)
        where = f"{place}/{path}"
        seen += 1
        if seen > MAX_ENTRIES:
            bad.append(cut_short(where, "too many files", f"more than {MAX_ENTRIES} entries"))
            return
        if mode == 0o040000:
            visits[oid] += 1
            if visits[oid] > MAX_VISITS:
                if visits[oid] == MAX_VISITS + 1:
                    bad.append(cut_short(where, "repeated folder", f"tree {oid} occurs more than {MAX_VISITS} times"))
                continue
            try:
                todo += reversed(_tree_entries(store.tree(oid), raw, bad, place))
            except TooLarge as error:
                bad.append(cut_short(where, "folder too large", f"tree {oid}: {error}"))
            except KeyError as error:
                bad.append(Bad(where, "missing object", f"tree {oid}: {error}"))
        elif mode in _REGULAR:
            try:
                yield Entry(path, store.size(oid), partial(store.data, oid))
            except KeyError as error:
                bad.append(Bad(where, "missing object", f"blob {oid}: {error}"))
        elif mode == 0o160000:
            bad.append(Bad(where, "submodule", f"commit {oid} of another repository"))
        elif mode == 0o120000:
            bad.append(Bad(where, "symbolic link", "links inside a repository are not followed"))


def _tree_entries(tree: pygit2.Tree, raw: bytes, bad: list[Bad], place: str) -> list[tuple[bytes, pygit2.Oid, int]]:
    """(path, id, mode) of a tree's entries; names that git itself would not check out go to `bad`."""
    prefix = raw + b"/" if raw else b""
    found: list[tuple[bytes, pygit2.Oid, int]] = []
    for entry in tree:
        name = entry.raw_name or b""
        if name in _FORBIDDEN_NAMES or b"/" in name or name.lower() == b".git":
            bad.append(Bad(f"{place}/{path_text(prefix + name)}", "forbidden name", "no file of a work tree has it"))
        elif len(prefix) + len(name) > MAX_PATH_BYTES:
            bad.append(Bad(f"{place}/{path_text(prefix)[:200]}", "path too long", f"more than {MAX_PATH_BYTES} bytes"))
        else:
            found.append((prefix + name, entry.id, int(entry.filemode)))
    return found

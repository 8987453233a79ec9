"""The small commits of one repository: C and C++ files before and after them.

Belongs here: walking commits, choosing those that modify one to three source files, and reading both sides. It runs
in the process that reads dumps (`isolated`), which starts for each table: no polars and no pyarrow, whose import takes
longer than the rest of its start. Does not belong here: a dump's repositories, and the tables (`history`).
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import cast

import pygit2

from cpp_pipeline.dumps import kinds, licences
from cpp_pipeline.dumps.amalgams import is_amalgamated
from cpp_pipeline.dumps.gitdir import UnreadableRepository
from cpp_pipeline.dumps.gitstore import GitStore, open_store
from cpp_pipeline.dumps.items import Bad, path_text, printable
from cpp_pipeline.dumps.repos import Repo
from cpp_pipeline.dumps.textguard import Refusal, decode

MAX_SOURCE_FILES = 3
MAX_BLOB_BYTES = 600_000
_LINKS = (0o120000, 0o160000)
_CACHED_CHARACTERS = 32_000_000


def of_repository(repo: Repo, root: Path, dump: str) -> Iterator[dict[str, object] | Bad]:
    """Rows of `commits`, newest first, and what keeps the other commits out; `root` is the dump's folder."""
    try:
        store = open_store(repo.folder, root)
    except UnreadableRepository as error:
        yield Bad(repo.name, error.reason, str(error))
        return
    licence = _licence(store)
    for item in _pairs(store, repo.name):
        if isinstance(item, Bad):
            yield item
        else:
            own = licences.of_head(str(item["after"]))
            yield {"dump": dump, "repo": repo.name, "licence": own or licence, **item}


def _licence(store: GitStore) -> str | None:
    """Licence of the repository's top folder at HEAD."""
    texts: dict[str, str] = {}
    try:
        tree = store.tree(store.commit(store.head).tree_id)
    except KeyError:
        return None  # a damaged tree is reported by the table of files
    for entry in tree:
        name = path_text(entry.raw_name or b"")
        if licences.is_licence_file(name) and int(entry.filemode) in (0o100644, 0o100755):
            try:
                if store.size(entry.id) <= MAX_BLOB_BYTES:
                    texts[name] = store.data(entry.id).decode(errors="replace")
            except KeyError:
                continue  # a missing licence text is reported by the table of files
    return licences.by_folder(texts).get("")


def _pairs(store: GitStore, repo: str) -> Iterator[dict[str, object] | Bad]:
    texts = _Texts(store)
    for commit in _walk(store, repo):
        if isinstance(commit, Bad):
            yield commit
            continue
        if len(commit.parent_ids) > 1:
            continue
        where = f"{repo}@{commit.id}"
        try:
            changed = _changed(store, commit)
        except (KeyError, pygit2.GitError) as error:
            yield Bad(where, "missing object", f"tree or parent: {error}")
            continue
        if isinstance(changed, Refusal):
            yield Bad(where, changed.reason, changed.detail, message_text(commit))
            continue
        for path, *blobs in changed:
            before, after = (texts.get(oid) for oid in blobs)
            if isinstance(before, Refusal) or isinstance(after, Refusal):
                refusal = before if isinstance(before, Refusal) else cast(Refusal, after)
                yield Bad(f"{where}/{path}", refusal.reason, refusal.detail)
            elif before == after:
                yield Bad(f"{where}/{path}", "only line ends changed", "both sides are equal as text")
            else:
                yield {
                    "commit": str(commit.id),
                    "path": path,
                    "time": max(0, commit.commit_time),
                    "message": message_text(commit),
                    "n_files": len(changed),
                    "before": before,
                    "after": after,
                }


def _walk(store: GitStore, repo: str) -> Iterator[pygit2.Commit | Bad]:
    """All commits that HEAD reaches, newest first; equal times in the order of their ids."""
    waiting: list[tuple[int, str, pygit2.Commit]] = []
    known: set[str] = set()

    def push(oid: str) -> Bad | None:
        if oid in known:
            return None
        known.add(oid)
        try:
            commit = cast(pygit2.Commit, store.objects[oid])
            heapq.heappush(waiting, (-commit.commit_time, oid, commit))
        except (KeyError, AttributeError, pygit2.GitError) as error:
            return Bad(f"{repo}@{oid}", "missing object", f"commit: {error}")
        return None

    push(store.head)
    while waiting:
        _time, oid, commit = heapq.heappop(waiting)
        yield commit
        if oid not in store.shallow:
            for parent in commit.parent_ids:
                bad = push(str(parent))
                if bad is not None:
                    yield bad


def _changed(store: GitStore, commit: pygit2.Commit) -> list[tuple[str, pygit2.Oid, pygit2.Oid]] | Refusal:
    """Path and both blob ids of each changed source file, or why the commit does not qualify.

    The trees are compared by libgit2, which enters only folders whose ids differ.
    """
    if str(commit.id) in store.shallow:
        return Refusal("shallow boundary", "the parent is not in the repository")
    if not commit.parent_ids:
        return Refusal("first commit", "it has no parent")
    parent = cast(pygit2.Commit, store.objects[commit.parent_ids[0]])
    found: list[tuple[str, pygit2.Oid, pygit2.Oid]] = []
    for delta in parent.tree.diff_to_tree(commit.tree, context_lines=0).deltas:
        raw = delta.new_file.raw_path
        if not _counts(raw):
            continue
        links = int(delta.old_file.mode) in _LINKS or int(delta.new_file.mode) in _LINKS
        if links or delta.status_char() != "M":
            return Refusal("not only modified", f"{delta.status_char()} {path_text(raw)}")
        if len(found) == MAX_SOURCE_FILES:
            return Refusal("many files", f"more than {MAX_SOURCE_FILES} source files")
        if delta.old_file.id != delta.new_file.id:
            found.append((path_text(raw), delta.old_file.id, delta.new_file.id))
    return found or Refusal("no source changed", "no hand-written C or C++ file outside tests and third-party code")


@lru_cache(maxsize=65_536)
def _counts(raw: bytes) -> bool:
    """Whether a file is C or C++, written by hand and no test or third-party code; paths occur in many commits.

    What a program joins from the sources changes with them, and is no second change.
    """
    path = path_text(raw)
    language = kinds.language_of(path)
    beside = kinds.is_test(path) or kinds.is_vendored(path) or kinds.is_generated(path) or is_amalgamated(path, "")
    return language not in (None, "cmake") and not beside


class _Texts:
    """Blobs as text. What a commit left is what the next newer one found: half of the reads repeat."""

    def __init__(self, store: GitStore) -> None:
        self._store = store
        self._known: OrderedDict[pygit2.Oid, str | Refusal] = OrderedDict()
        self._characters = 0

    def get(self, oid: pygit2.Oid) -> str | Refusal:
        """The text, or why there is none."""
        if oid in self._known:
            self._known.move_to_end(oid)
            return self._known[oid]
        text = self._known[oid] = self._read(oid)
        self._characters += len(text) if isinstance(text, str) else 0
        while self._characters > _CACHED_CHARACTERS and len(self._known) > 1:
            _, oldest = self._known.popitem(last=False)
            self._characters -= len(oldest) if isinstance(oldest, str) else 0
        return text

    def _read(self, oid: pygit2.Oid) -> str | Refusal:
        try:
            size = self._store.size(oid)
            if size > MAX_BLOB_BYTES:
                return Refusal("too large", f"{size} bytes, limit {MAX_BLOB_BYTES}")
            data = self._store.data(oid)
        except (KeyError, pygit2.GitError) as error:
            return Refusal("missing object", f"blob {oid}: {error}")
        return decode(data, MAX_BLOB_BYTES)


def message_text(commit: pygit2.Commit) -> str:
    """The raw message as text, by the encoding that the commit states."""
    try:
        text = commit.raw_message.decode(commit.message_encoding or "utf-8", "replace")
    except LookupError:
        text = commit.raw_message.decode("utf-8", "replace")
    return printable(text)

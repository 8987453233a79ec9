"""`commits`: C and C++ files before and after the small commits of a dump's git histories.

Belongs here: walking commits, choosing those that modify one to three source files, and reading both sides.
Does not belong here: telling a repair from other changes, or finding the function that changed (`extract`).
"""

from __future__ import annotations

import heapq
import shutil
import tempfile
from collections import OrderedDict
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import cast

import polars as pl
import pygit2

from cpp_pipeline.dumps import kinds, licences
from cpp_pipeline.dumps.amalgams import is_amalgamated
from cpp_pipeline.dumps.gitstore import GitStore, UnreadableRepository, open_store
from cpp_pipeline.dumps.isolated import Reader, ReaderEnded
from cpp_pipeline.dumps.items import Bad, cut_short, path_text, printable
from cpp_pipeline.dumps.parts import Parts
from cpp_pipeline.dumps.registry import check_name
from cpp_pipeline.dumps.remote import is_remote
from cpp_pipeline.dumps.repos import Repo
from cpp_pipeline.dumps.shards import WHOLE, Shard
from cpp_pipeline.dumps.spool import Spool
from cpp_pipeline.dumps.textguard import Refusal, decode
from cpp_pipeline.schemas import TABLES

MAX_SOURCE_FILES = 3
MAX_BLOB_BYTES = 600_000
_LINKS = (0o120000, 0o160000)
_CACHED_CHARACTERS = 32_000_000


def read_commits(path: Path | str, name: str, scratch: Path, shard: Shard = WHOLE) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Read the file pairs of the small commits of a dump, or of the shard that has a repository's history.

    A commit counts when it has one parent and its C and C++ files outside tests and third-party folders are
    one to three, all modified (none added, deleted or renamed). Every other commit but a merge is a row of the
    quarantine, so that both tables together tell how many there are. Dumps without git history give empty tables.

    Returns
    -------
    tuple
        Rows of `commits` (newest first within a repository) and of `commits_quarantine`; both scan files in
        `scratch`.

    Raises
    ------
    FileNotFoundError, ValueError
        For a path or name that cannot be a dump.
    """
    check_name(name)
    scratch.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="unpacked-", dir=scratch))
    rows = Spool(TABLES["commits"], scratch / "commits.parquet")
    bad = Spool(TABLES["commits_quarantine"], scratch / "commits_quarantine.parquet")
    try:
        with rows, bad:
            for item in _dump_pairs(path, name, work, shard):
                if isinstance(item, Bad):
                    bad.add(item.row(name))
                else:
                    rows.add(item)
    finally:
        shutil.rmtree(work)
    return rows.scan(), bad.scan()


def _dump_pairs(path: Path | str, dump: str, work: Path, shard: Shard) -> Iterator[dict[str, object] | Bad]:
    with Reader(online=is_remote(path)) as reader:
        # What is wrong with archives and loose files is reported once, by the table of files.
        for place in Parts(path, work, reader, shard).repositories():
            if place.repo.git and shard.has_history(place.repo.name):
                try:
                    yield from reader.stream(_repository_pairs, place.repo, place.root, dump)
                except ReaderEnded as error:
                    yield cut_short(place.repo.name, "reader ended", error)


def _repository_pairs(repo: Repo, root: Path, dump: str) -> Iterator[dict[str, object] | Bad]:
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

"""`commits`: C and C++ files before and after the small commits of a dump's git histories.

Belongs here: walking commits, choosing those that modify one to three source files, and reading both sides.
Does not belong here: telling a repair from other changes, or finding the function that changed (`extract`).
"""

from __future__ import annotations

import heapq
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import polars as pl
import pygit2

from cpp_pipeline.dumps import kinds, licences
from cpp_pipeline.dumps.gitstore import GitStore, UnreadableRepository, open_store
from cpp_pipeline.dumps.items import Bad, path_text, printable
from cpp_pipeline.dumps.reading import dump_repos
from cpp_pipeline.dumps.registry import check_name
from cpp_pipeline.dumps.spool import Spool
from cpp_pipeline.dumps.textguard import Refusal, decode
from cpp_pipeline.schemas import TABLES

MAX_SOURCE_FILES = 3
MAX_BLOB_BYTES = 600_000
_LINKS = (0o120000, 0o160000)


def read_commits(path: Path, name: str, scratch: Path) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Read the file pairs of a dump's small commits.

    A commit counts when it has one parent and its C and C++ files outside tests and third-party folders are
    one to three, all modified (none added, deleted or renamed). Merges, root commits and the boundary commits
    of shallow clones are passed over. Dumps without git history give an empty table.

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
            for item in _dump_pairs(Path(path), name, work):
                if isinstance(item, Bad):
                    bad.add(item.row(name))
                else:
                    rows.add(item)
    finally:
        shutil.rmtree(work)
    return rows.scan(), bad.scan()


def _dump_pairs(path: Path, dump: str, work: Path) -> Iterator[dict[str, object] | Bad]:
    # What is wrong with archives and loose files is reported once, by the table of files.
    found, _, _ = dump_repos(path, work, [])
    for repo in (r for r in found if r.git):
        root = work if repo.folder.is_relative_to(work) else path
        try:
            store = open_store(repo.folder, root)
        except UnreadableRepository as error:
            yield Bad(repo.name, "unreadable repository", str(error))
            continue
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
    tree = cast(pygit2.Commit, store.objects[store.head]).tree
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
    for commit in _walk(store, repo):
        if isinstance(commit, Bad):
            yield commit
            continue
        if len(commit.parent_ids) != 1 or str(commit.id) in store.shallow:
            continue
        try:
            parent = cast(pygit2.Commit, store.objects[commit.parent_ids[0]])
            changed = _modified_sources(parent.tree, commit.tree)
        except (KeyError, pygit2.GitError) as error:
            yield Bad(f"{repo}@{commit.id}", "missing object", f"tree or parent: {error}")
            continue
        for path, before, after in changed:
            pair = _pair(store, f"{repo}@{commit.id}/{path}", before, after)
            if isinstance(pair, Bad):
                yield pair
                continue
            yield {
                "commit": str(commit.id),
                "path": path,
                "time": max(0, int(commit.author.time)),
                "message": message_text(commit),
                "n_files": len(changed),
                "before": pair[0],
                "after": pair[1],
            }


def _walk(store: GitStore, repo: str) -> Iterator[pygit2.Commit | Bad]:
    """All commits that HEAD reaches, newest first; equal times in the order of their ids."""
    waiting: list[tuple[int, str]] = []
    known: set[str] = set()

    def push(oid: str) -> Bad | None:
        if oid in known:
            return None
        known.add(oid)
        try:
            commit = cast(pygit2.Commit, store.objects[oid])
            heapq.heappush(waiting, (-commit.commit_time, oid))
        except (KeyError, AttributeError, pygit2.GitError) as error:
            return Bad(f"{repo}@{oid}", "missing object", f"commit: {error}")
        return None

    push(store.head)
    while waiting:
        commit = cast(pygit2.Commit, store.objects[heapq.heappop(waiting)[1]])
        yield commit
        if str(commit.id) not in store.shallow:
            for parent in commit.parent_ids:
                bad = push(str(parent))
                if bad is not None:
                    yield bad


def _modified_sources(before: pygit2.Tree, after: pygit2.Tree) -> list[tuple[str, pygit2.Oid, pygit2.Oid]]:
    """Path and both blob ids of each changed source file; empty when the commit does not qualify."""
    found: list[tuple[str, pygit2.Oid, pygit2.Oid]] = []
    for delta in before.diff_to_tree(after, context_lines=0).deltas:
        path = path_text(delta.new_file.raw_path)
        language = kinds.language_of(path)
        if language is None or language == "cmake" or kinds.is_test(path) or kinds.is_vendored(path):
            continue
        links = int(delta.old_file.mode) in _LINKS or int(delta.new_file.mode) in _LINKS
        if links or delta.status_char() != "M" or len(found) == MAX_SOURCE_FILES:
            return []
        if delta.old_file.id != delta.new_file.id:
            found.append((path, delta.old_file.id, delta.new_file.id))
    return found


def _pair(store: GitStore, where: str, before: pygit2.Oid, after: pygit2.Oid) -> tuple[str, str] | Bad:
    """Both sides of a change as text."""
    sides: list[str] = []
    for oid in (before, after):
        try:
            size = store.size(oid)
            if size > MAX_BLOB_BYTES:
                return Bad(where, "too large", f"{size} bytes, limit {MAX_BLOB_BYTES}")
            data = store.data(oid)
        except (KeyError, pygit2.GitError) as error:
            return Bad(where, "missing object", f"blob {oid}: {error}")
        text = decode(data, MAX_BLOB_BYTES)
        if isinstance(text, Refusal):
            return Bad(where, text.reason, text.detail, data[:2000].decode(errors="replace"))
        sides.append(text)
    if sides[0] == sides[1]:
        return Bad(where, "only line ends changed", "both sides are equal as text")
    return sides[0], sides[1]


def message_text(commit: pygit2.Commit) -> str:
    """The raw message as text, by the encoding that the commit states."""
    try:
        text = commit.raw_message.decode(commit.message_encoding or "utf-8", "replace")
    except LookupError:
        text = commit.raw_message.decode("utf-8", "replace")
    return printable(text)

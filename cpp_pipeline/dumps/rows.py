"""The files of one part of a dump as rows of `source_files`.

Belongs here: a repository's files with its licence, the guards on bytes, and the marks of test, third-party,
generated and amalgamated code. Does not belong here: which parts a dump has (`parts`), or where rows go
(`reading`). All of it runs in the reading process (`isolated`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from cpp_pipeline.dumps import amalgams, kinds, licences, repos
from cpp_pipeline.dumps.gitdir import UnreadableRepository
from cpp_pipeline.dumps.items import Bad, Entry, RawFile
from cpp_pipeline.dumps.manifest import Manifest
from cpp_pipeline.dumps.repos import Loose, Repo
from cpp_pipeline.dumps.shards import Shard
from cpp_pipeline.dumps.textguard import Refusal, decode, too_large

Row = dict[str, Any]


class Read(NamedTuple):
    """A row, and where in the dump it is from, as `file` or `file:line`."""

    where: str
    row: Row


def of_repository(repo: Repo, root: Path, dump: str, shard: Shard, manifest: Manifest) -> Iterator[Read | Bad]:
    """The source files of a clone at HEAD, of a mirror, or of a folder, ordered by path."""
    bad: list[Bad] = []
    entries, commit = _entries(repo, root, bad)
    sources: list[tuple[Entry, kinds.Language]] = []
    texts: list[Entry] = []
    for entry in entries:
        language = kinds.language_of(entry.path)
        if language is not None:
            if shard.has_file(repo.name, entry.path):
                sources.append((entry, language))
        elif licences.is_licence_file(entry.path):
            texts.append(entry)
    folders = licences.by_folder(repos.licence_texts(texts, bad, repo.name))
    yield from (b for b in bad if shard.rule == "units" or shard.tells(b.where))
    for entry, language in sorted(sources, key=lambda s: s[0].path):
        licence = licences.nearest(folders, entry.path) or manifest.licence
        where = f"{repo.name}/{entry.path}"
        file = RawFile(repo.name, entry.path, commit, licence, language, entry.size_bytes, entry.read, where)
        yield _row(file, dump)


def of_table(table: Loose, dump: str, shard: Shard, manifest: Manifest) -> Iterator[Read | Bad]:
    """The source files of a JSONL or parquet file, in its order."""
    from cpp_pipeline.dumps import records

    read = records.from_jsonl if table.kind == "jsonl" else records.from_parquet
    for item in read(table.file, table.name, shard, manifest):
        yield item if isinstance(item, Bad) else _row(item, dump)


def _entries(repo: Repo, root: Path, bad: list[Bad]) -> tuple[Iterator[Entry], str | None]:
    if repo.git:
        # The reading process starts sooner without what only clones need, or only tables.
        from cpp_pipeline.dumps import gitstore

        try:
            store = gitstore.open_store(repo.folder, root)
            return gitstore.head_entries(store, bad, repo.name), store.head
        except UnreadableRepository as error:
            bad.append(Bad(repo.name, error.reason, f"{error}; its work tree is read as plain files"))
    return repos.folder_entries(repo.folder, bad, repo.name), None


def _row(file: RawFile, dump: str) -> Read | Bad:
    refusal = too_large(file.size_bytes)
    if refusal is not None:
        return Bad(file.where, refusal.reason, refusal.detail)
    try:
        data = file.read()
    except KeyError as error:
        return Bad(file.where, "missing object", f"blob {error}")
    except MemoryError:
        return Bad(file.where, "too large", "what it is packed on does not fit into the reader's memory")
    except (OSError, ValueError) as error:
        return Bad(file.where, "unreadable", f"{type(error).__name__}: {error}")
    text = decode(data)
    if isinstance(text, Refusal):
        return Bad(file.where, text.reason, text.detail, data[:2000].decode(errors="replace"))
    row = {
        "dump": dump,
        "repo": file.repo,
        "path": file.path,
        "commit": file.commit,
        "licence": licences.of_head(text) or file.licence,
        "language": kinds.refined(file.language, file.path, text),
        "sha256": hashlib.sha256(data).hexdigest(),
        "size_bytes": len(data),
        "is_test": kinds.is_test(file.path, text),
        "is_vendored": file.is_vendored or kinds.is_vendored(file.path),
        "is_generated": file.is_generated or kinds.is_generated(file.path, text),
        "is_amalgamated": file.language != "cmake" and amalgams.is_amalgamated(file.path, text),
        "content": text,
    }
    return Read(file.where, row)

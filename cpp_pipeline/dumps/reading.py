"""`source_files`: the readable C, C++ and CMake files of a dump of any kind.

Belongs here: from a dump to rows, through the guards, with the repository's licence and the marks of test,
third-party and generated code; every file that is not read goes to the quarantine table with its reason.
Does not belong here: deciding what is kept for training (the curation room).
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from cpp_pipeline.dumps import kinds, licences, records, repos
from cpp_pipeline.dumps.gitstore import UnreadableRepository, head_entries, open_store
from cpp_pipeline.dumps.items import Bad, Entry, RawFile
from cpp_pipeline.dumps.registry import check_name, detect_kind
from cpp_pipeline.dumps.repos import Loose, Repo
from cpp_pipeline.dumps.spool import Spool
from cpp_pipeline.dumps.textguard import Refusal, decode, too_large
from cpp_pipeline.schemas import TABLES


def read_files(path: Path, name: str, scratch: Path) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Read the C, C++ and CMake files of the dump `name` that lies at `path`.

    Clones and bare mirrors are read at HEAD from their objects, not from the work tree: the commit column
    then says exactly what was read.

    Parameters
    ----------
    path
        Folder of git clones, bare mirrors, source trees or archives; one of these alone; JSONL or parquet.
    name
        Partition key.
    scratch
        Folder for the two parquet files that the returned frames scan; it has to live as long as they do.

    Returns
    -------
    tuple
        Rows of `source_files` and of `source_files_quarantine`, in a stable order.

    Raises
    ------
    FileNotFoundError, ValueError
        For a path or name that cannot be a dump.
    """
    check_name(name)
    detect_kind(path)
    files = Spool(TABLES["source_files"], scratch / "source_files.parquet")
    bad = Spool(TABLES["source_files_quarantine"], scratch / "source_files_quarantine.parquet")
    work = Path(tempfile.mkdtemp(prefix="unpacked-", dir=scratch))
    seen: set[bytes] = set()
    try:
        with files, bad:
            for item in _raw_files(Path(path), work):
                row = item if isinstance(item, Bad) else _row(item, name, seen)
                if isinstance(row, Bad):
                    bad.add(row.row(name))
                else:
                    files.add(row)
    finally:
        shutil.rmtree(work)
    return files.scan(), bad.scan()


def dump_repos(path: Path, work: Path, bad: list[Bad]) -> tuple[list[Repo], list[Loose], Path]:
    """Repositories of a dump, its tables, and the folder that no repository may reach out of.

    Archives are extracted below `work`, which has to exist for as long as the repositories are read.
    """
    kind = detect_kind(path)
    if kind == "folder":
        found, loose = repos.find(path, bad)
        unpacked = repos.unpack(loose, work, bad)
        tables = [f for f in loose if f.kind != "archive"]
        return _unique_names(found + unpacked), tables, path
    loose = [Loose(path.name, path, kind)]
    if kind == "archive":
        return _unique_names(repos.unpack(loose, work, bad)), [], work
    return [], loose, path.parent


def _unique_names(found: list[Repo]) -> list[Repo]:
    """Repositories of equal name (a folder and an archive, say) told apart as `name`, `name~2`, ..."""
    taken: set[str] = set()
    unique: list[Repo] = []
    for repo in found:
        name, number = repo.name, 1
        while name in taken:
            number += 1
            name = f"{repo.name}~{number}"
        taken.add(name)
        unique.append(Repo(name, repo.folder, repo.git))
    return unique


def _raw_files(path: Path, work: Path) -> Iterator[RawFile | Bad]:
    bad: list[Bad] = []
    found, tables, _ = dump_repos(path, work, bad)
    yield from bad
    for repo in found:
        root = work if repo.folder.is_relative_to(work) else path
        yield from _repo_files(repo, root)
    for table in tables:
        read = records.from_jsonl if table.kind == "jsonl" else records.from_parquet
        yield from read(table.file, table.name)


def _repo_files(repo: Repo, root: Path) -> Iterator[RawFile | Bad]:
    bad: list[Bad] = []
    commit: str | None = None
    place = repo.name
    entries: Iterator[Entry]
    if repo.git:
        try:
            store = open_store(repo.folder, root)
        except UnreadableRepository as error:
            yield Bad(place, "unreadable repository", f"{error}; its work tree is read as plain files")
            entries = repos.folder_entries(repo.folder, bad, place)
        else:
            commit = store.head
            entries = head_entries(store, bad, place)
    else:
        entries = repos.folder_entries(repo.folder, bad, place)
    sources: list[tuple[Entry, kinds.Language]] = []
    texts: list[Entry] = []
    for entry in entries:
        language = kinds.language_of(entry.path)
        if language is not None:
            sources.append((entry, language))
        elif licences.is_licence_file(entry.path):
            texts.append(entry)
    folders = licences.by_folder(repos.licence_texts(texts, bad, place))
    yield from bad
    for entry, language in sorted(sources, key=lambda s: s[0].path):
        licence = licences.nearest(folders, entry.path)
        where = f"{place}/{entry.path}"
        yield RawFile(repo.name, entry.path, commit, licence, language, entry.size_bytes, entry.read, where)


def _row(file: RawFile, dump: str, seen: set[bytes]) -> dict[str, object] | Bad:
    # 8 bytes a file: two rows of one key would break the table, and records can repeat themselves.
    key = hashlib.blake2b(f"{file.repo}\0{file.path}".encode(), digest_size=8).digest()
    if key in seen:
        return Bad(file.where, "repeated path", f"{file.repo}/{file.path} was read before")
    refusal = too_large(file.size_bytes)
    if refusal is not None:
        return Bad(file.where, refusal.reason, refusal.detail)
    try:
        data = file.read()
    except KeyError as error:
        return Bad(file.where, "missing object", f"blob {error}")
    except OSError as error:
        return Bad(file.where, "unreadable", f"{type(error).__name__}: {error}")
    text = decode(data)
    if isinstance(text, Refusal):
        return Bad(file.where, text.reason, text.detail, data[:2000].decode(errors="replace"))
    seen.add(key)
    return {
        "dump": dump,
        "repo": file.repo,
        "path": file.path,
        "commit": file.commit,
        "licence": licences.of_head(text) or file.licence,
        "language": file.language,
        "sha256": hashlib.sha256(data).hexdigest(),
        "size_bytes": len(data),
        "is_test": kinds.is_test(file.path, text),
        "is_vendored": kinds.is_vendored(file.path),
        "is_generated": kinds.is_generated(file.path, text),
        "content": text,
    }

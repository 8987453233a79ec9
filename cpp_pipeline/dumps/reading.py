"""`source_files`: the readable C, C++ and CMake files of a dump of any kind.

Belongs here: from a dump's parts to two tables, with every file that is not read in the quarantine and its
reason. Does not belong here: reading one part (`rows`), deciding what is kept for training (the curation room).
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from cpp_pipeline.dumps import manifest, rows
from cpp_pipeline.dumps.isolated import Reader, ReaderEnded
from cpp_pipeline.dumps.items import Bad, cut_short
from cpp_pipeline.dumps.parts import Parts
from cpp_pipeline.dumps.progress import Progress, Tell, silent
from cpp_pipeline.dumps.registry import check_name, detect_kind
from cpp_pipeline.dumps.remote import is_in_process, is_remote
from cpp_pipeline.dumps.shards import WHOLE, Shard
from cpp_pipeline.dumps.spool import Spool
from cpp_pipeline.schemas import TABLES


def read_files(
    path: Path | str, name: str, scratch: Path, shard: Shard = WHOLE, tell: Tell = silent
) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Read the C, C++ and CMake files of the dump `name` that lies at `path`.

    Clones and bare mirrors are read at HEAD from their objects, not from the work tree: the commit column
    then says exactly what was read. Reading happens in a process of its own; a part of the dump on which that
    process dies is quarantined, with what was read of it kept.

    Parameters
    ----------
    path
        Path or URL of a folder of git clones, bare mirrors, source trees or archives; one of these alone; JSONL
        or parquet.
    name
        Partition key.
    scratch
        Folder for the two parquet files that the returned frames scan; it has to live as long as they do. Archives
        and bucket folders are unpacked there, one at a time.
    shard
        Which part of the dump is read.
    tell
        Called with the files and bytes read so far, every few seconds.

    Returns
    -------
    tuple
        Rows of `source_files` and of `source_files_quarantine`, in a stable order.

    Raises
    ------
    FileNotFoundError, ValueError
        For a path or name that cannot be a dump.
    NoRoom
        The scratch disk is too small for an archive.
    """
    check_name(name)
    detect_kind(path)
    files = Spool(TABLES["source_files"], scratch / "source_files.parquet")
    bad = Spool(TABLES["source_files_quarantine"], scratch / "source_files_quarantine.parquet")
    work = Path(tempfile.mkdtemp(prefix="unpacked-", dir=scratch))
    progress = Progress(tell)
    seen: set[bytes] = set()
    try:
        with files, bad:
            for item in _items(path, name, work, shard):
                found = item if isinstance(item, Bad) else _repeated(item, seen)
                if isinstance(found, Bad):
                    bad.add(found.row(name))
                else:
                    files.add(found)
                    progress.add(found["size_bytes"])
    finally:
        shutil.rmtree(work)
        progress.end()
    return files.scan(), bad.scan()


def _items(path: Path | str, name: str, work: Path, shard: Shard) -> Iterator[rows.Read | Bad]:
    known, trouble = manifest.read(manifest.place_of(path, detect_kind(path) == "folder"))
    yield from (b for b in trouble if shard.tells(b.where))
    with Reader(online=is_remote(path)) as reader:
        parts = Parts(path, work, reader, shard)
        for place in parts.repositories():
            yield from _drained(parts.bad)
            try:
                yield from reader.stream(rows.of_repository, place.repo, place.root, name, shard, known)
            except ReaderEnded as error:
                yield cut_short(place.repo.name, "reader ended", error)
        yield from _drained(parts.bad)
        for table in parts.tables():
            arguments = (table, name, shard, known)
            try:
                yield from (
                    rows.of_table(*arguments) if is_in_process(table.file) else reader.stream(rows.of_table, *arguments)
                )
            except ReaderEnded as error:
                yield cut_short(table.name, "reader ended", error)


def _drained(bad: list[Bad]) -> list[Bad]:
    found = list(bad)
    bad.clear()
    return found


def _repeated(item: rows.Read, seen: set[bytes]) -> rows.Row | Bad:
    # 8 bytes a file: two rows of one key would break the table, and records can repeat themselves.
    repo, path = item.row["repo"], item.row["path"]
    key = hashlib.blake2b(f"{repo}\0{path}".encode(), digest_size=8).digest()
    if key in seen:
        return Bad(item.where, "repeated path", f"{repo}/{path} was read before")
    seen.add(key)
    return item.row

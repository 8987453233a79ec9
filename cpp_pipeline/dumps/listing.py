"""`repo_dump`: a dump as it lies there, one row a file; its hash is the dump's data version.

Belongs here: paths, sizes and hashes. Does not belong here: opening archives or decoding text.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from cpp_pipeline.dumps import manifest, repos
from cpp_pipeline.dumps.gitdir import git_dir
from cpp_pipeline.dumps.items import path_text
from cpp_pipeline.dumps.licences import is_licence_file
from cpp_pipeline.dumps.packed import is_packed
from cpp_pipeline.dumps.progress import Progress, Tell, silent
from cpp_pipeline.dumps.registry import check_name, detect_kind, file_kind
from cpp_pipeline.dumps.remote import Object, is_remote, local_path, open_file, open_remote
from cpp_pipeline.dumps.shards import WHOLE, Shard
from cpp_pipeline.dumps.spool import Spool
from cpp_pipeline.schemas import TABLES

_READ_BYTES = 1 << 20
Row = dict[str, Any]


def list_dump(path: Path | str, name: str, scratch: Path, shard: Shard = WHOLE, tell: Tell = silent) -> pl.LazyFrame:
    """List the files of a dump as rows of `repo_dump`, ordered by path.

    A git repository's own files are one row, the text of HEAD and all refs, beside its work-tree files: ids
    name the objects already. Symbolic links are not followed; their row is the hash of where they point to.
    An archive, JSONL or parquet dump is one row. The hash of an object in a bucket is that of its generation,
    etag or time, so nothing is downloaded. A shard lists its own repositories, files, lines and row groups. The
    rows are spooled to the folder `scratch` and sorted there.

    Raises
    ------
    FileNotFoundError, ValueError
        For a path or name that cannot be a dump.
    """
    check_name(name)
    folder = detect_kind(path) == "folder"
    progress = Progress(tell)
    scratch.mkdir(parents=True, exist_ok=True)
    file = Path(tempfile.mkdtemp(prefix="listing-", dir=scratch)) / "repo_dump.parquet"
    with Spool(TABLES["repo_dump"], file) as listing:
        for row in _rows(path, folder, shard):
            listing.add({"dump": name, **row})
            progress.add(row["size_bytes"])
    progress.end()
    return listing.scan().sort("path")


def links_out(path: Path) -> int:
    """How many symbolic links of a dump folder leave it (none is ever followed)."""
    root = Path(path).resolve()
    return sum(
        item.is_symlink() and not Path(os.path.realpath(item.path)).is_relative_to(root) for item in _items(Path(path))
    )


def _rows(path: Path | str, folder: bool, shard: Shard) -> Iterator[Row]:
    if is_remote(path):
        found = open_remote(path)
        for item in found.objects() if folder else [found.object()]:
            if not folder or _is_listed(item.path, None, shard):
                yield _object(item)
    elif folder:
        yield from _folder(local_path(path), shard)
    else:
        yield _file(local_path(path), local_path(path).name, shard)
    beside = manifest.place_of(path, folder)
    if not folder and not is_remote(beside) and Path(beside).is_file() and not Path(beside).is_symlink():
        yield _file(Path(beside), manifest.NAME)


def _is_listed(path: str, repos_by_top: dict[str, bool] | None, shard: Shard) -> bool:
    """Whether a file of a dump folder is of the shard: by its repository, by its own path, or as a dump file."""
    if shard.is_whole or path == manifest.NAME:
        return True
    if file_kind(path) is not None:
        return shard.has_unit(path)
    top = path.partition("/")[0]
    if shard.rule == "units":
        return shard.has_unit(top) if repos_by_top is None else repos_by_top.get(top, shard.tells(path))
    return is_licence_file(path) or shard.has_file(top, path)


def _folder(root: Path, shard: Shard) -> Iterator[Row]:
    own = None if shard.is_whole else _own_tops(root, shard)
    todo = [(root, "")]
    while todo:
        folder, prefix = todo.pop()
        try:
            repository = git_dir(folder)
            items = list(os.scandir(folder))
        except OSError as error:  # a path that is too long, no permission: told by the table of files
            yield _text_row(prefix, f"unreadable: {error.strerror}\n")
            continue
        if repository is not None:
            pointer = prefix + ".git" if repository != folder else (prefix.rstrip("/") or ".")
            yield _text_row(pointer, _refs(folder, root))
            if repository == folder:
                continue
        for item in items:
            path = prefix + path_text(os.fsencode(item.name))
            if item.is_dir(follow_symlinks=False):
                foreign = own is not None and shard.rule == "units" and not prefix and not own.get(path, False)
                if item.name != ".git" and not (foreign and path != "data"):
                    todo.append((Path(item.path), path + "/"))
            elif not _is_listed(path, own, shard):
                continue
            elif item.is_symlink():
                yield _text_row(path, f"link to {path_text(os.fsencode(os.readlink(item.path)))}\n")
            elif stat.S_ISREG(item.stat(follow_symlinks=False).st_mode):
                yield _file(Path(item.path), path, shard)


def _refs(folder: Path, root: Path) -> str:
    # Not before a repository is met: most processes that import this meet none.
    from cpp_pipeline.dumps.gitstore import ref_listing

    return ref_listing(folder, root)


def _own_tops(root: Path, shard: Shard) -> dict[str, bool]:
    """Top folder -> whether a repository in it is of the shard."""
    own: dict[str, bool] = {}
    for repo in repos.find(root, [])[0]:
        top = repo.name.partition("/")[0]
        own[top] = own.get(top, False) or shard.has_unit(repo.name)
    return own


def _items(root: Path) -> Iterator[os.DirEntry[str]]:
    todo = [str(root)] if root.is_dir() else []
    while todo:
        with os.scandir(todo.pop()) as found:
            for item in found:
                if item.is_dir(follow_symlinks=False):
                    todo.append(item.path)
                yield item


def _object(item: Object) -> Row:
    version = f"{item.path}\n{item.size_bytes}\n{item.version}\n".encode("utf-8", "surrogatepass")
    return {"path": item.path, "size_bytes": item.size_bytes, "sha256": hashlib.sha256(version).hexdigest()}


def _text_row(path: str, text: str) -> Row:
    data = text.encode()
    return {"path": path, "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _file(file: Path, path: str, shard: Shard = WHOLE) -> Row:
    """Bytes and hash of a file, or of the shard's part of a table."""
    if not shard.is_whole and shard.rule != "units":
        if path in shard.ranges:
            part = shard.ranges[path]
            return _hashed(file, path, [(part.start, part.end - part.start)])
        if file_kind(path) == "parquet" and not is_packed(path):
            return _hashed(file, path, _own_groups(file, shard))
    return _hashed(file, path, [(0, file.stat().st_size)])


def _own_groups(file: Path, shard: Shard) -> list[tuple[int, int]]:
    """(offset, bytes) of the shard's row groups; the whole of a file whose footer cannot be read."""
    try:
        metadata = pq.read_metadata(file)
    except (OSError, pa.ArrowException):
        return [(0, file.stat().st_size)]
    found: list[tuple[int, int]] = []
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        if shard.has_group(number) and group.num_columns:
            first = group.column(0)
            pages = (first.dictionary_page_offset, first.data_page_offset)
            begin = min(p for p in pages if p is not None)
            found.append((begin, sum(group.column(c).total_compressed_size for c in range(group.num_columns))))
    return found


def _hashed(file: Path, path: str, ranges: list[tuple[int, int]]) -> Row:
    digest, size = hashlib.sha256(), 0
    with open_file(str(file)) as stream:
        for begin, length in ranges:
            stream.seek(begin)
            left = length
            while left > 0 and (chunk := stream.read(min(_READ_BYTES, left))):
                digest.update(chunk)
                size += len(chunk)
                left -= len(chunk)
    return {"path": path, "size_bytes": size, "sha256": digest.hexdigest()}

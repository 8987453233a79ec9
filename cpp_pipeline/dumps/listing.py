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

from cpp_pipeline.dumps.gitstore import git_dir, ref_listing
from cpp_pipeline.dumps.items import path_text
from cpp_pipeline.dumps.registry import check_name, detect_kind
from cpp_pipeline.dumps.spool import Spool
from cpp_pipeline.schemas import TABLES

_READ_BYTES = 1 << 20


def list_dump(path: Path, name: str, scratch: Path) -> pl.LazyFrame:
    """List the files of a dump as rows of `repo_dump`, ordered by path.

    A git repository's own files are one row, the text of HEAD and all refs, beside its work-tree files: ids
    name the objects already. Symbolic links are not followed; their row is the hash of where they point to.
    An archive, JSONL or parquet dump is one row. The rows are spooled to the folder `scratch` and sorted there.

    Raises
    ------
    FileNotFoundError, ValueError
        For a path or name that cannot be a dump.
    """
    check_name(name)
    path = Path(path)
    found = _folder(path) if detect_kind(path) == "folder" else iter([_file(path, path.name)])
    scratch.mkdir(parents=True, exist_ok=True)
    file = Path(tempfile.mkdtemp(prefix="listing-", dir=scratch)) / "repo_dump.parquet"
    with Spool(TABLES["repo_dump"], file) as listing:
        for row in found:
            listing.add({"dump": name, **row})
    return listing.scan().sort("path")


def links_out(path: Path) -> int:
    """How many symbolic links of a dump folder leave it (none is ever followed)."""
    root = Path(path).resolve()
    return sum(
        item.is_symlink() and not Path(os.path.realpath(item.path)).is_relative_to(root) for item in _items(Path(path))
    )


def _folder(root: Path) -> Iterator[dict[str, Any]]:
    todo = [(root, "")]
    while todo:
        folder, prefix = todo.pop()
        repository = git_dir(folder)
        if repository is not None:
            pointer = prefix + ".git" if repository != folder else (prefix.rstrip("/") or ".")
            yield _text_row(pointer, ref_listing(folder, root))
            if repository == folder:
                continue
        with os.scandir(folder) as found:
            for item in found:
                path = prefix + path_text(os.fsencode(item.name))
                if item.is_dir(follow_symlinks=False):
                    if item.name != ".git":
                        todo.append((Path(item.path), path + "/"))
                elif item.is_symlink():
                    yield _text_row(path, f"link to {path_text(os.fsencode(os.readlink(item.path)))}\n")
                elif stat.S_ISREG(item.stat(follow_symlinks=False).st_mode):
                    yield _file(Path(item.path), path)


def _items(root: Path) -> Iterator[os.DirEntry[str]]:
    todo = [str(root)] if root.is_dir() else []
    while todo:
        with os.scandir(todo.pop()) as found:
            for item in found:
                if item.is_dir(follow_symlinks=False):
                    todo.append(item.path)
                yield item


def _text_row(path: str, text: str) -> dict[str, Any]:
    data = text.encode()
    return {"path": path, "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _file(file: Path, path: str) -> dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    with file.open("rb") as stream:
        while chunk := stream.read(_READ_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return {"path": path, "size_bytes": size, "sha256": digest.hexdigest()}

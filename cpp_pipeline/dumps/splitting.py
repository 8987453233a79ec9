"""Cutting a huge dump into shards: which rule fits what lies there.

Belongs here: the choice between whole repositories, top folders and file names, and the ranges of JSONL files.
Does not belong here: what a rule means for a file (`shards`), registering shards (the storage layer).
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from cpp_pipeline.dumps.gitdir import UnreadableRepository
from cpp_pipeline.dumps.isolated import Reader
from cpp_pipeline.dumps.jsonl import line_ranges
from cpp_pipeline.dumps.packed import is_packed
from cpp_pipeline.dumps.parts import Parts, jsonl_files
from cpp_pipeline.dumps.progress import Progress, Tell, silent
from cpp_pipeline.dumps.registry import detect_kind
from cpp_pipeline.dumps.remote import is_remote, local_path
from cpp_pipeline.dumps.repos import find
from cpp_pipeline.dumps.shards import Range, Rule, Shard

_FOLDERS_A_SHARD = 2


def split(path: Path | str, count: int, tell: Tell = silent) -> tuple[list[Shard], str]:
    """Shards of the dump at `path`, and in words how it is cut.

    A plain JSONL file that has to be cut is read once, to find line ends and count lines; nothing else is read.

    Raises
    ------
    ValueError
        `count` is below 2 or above 9999.
    FileNotFoundError
        Nothing lies at `path`.
    """
    if not 2 <= count <= 9_999:
        raise ValueError(f"--shards {count}: give a number from 2 to 9999")
    with tempfile.TemporaryDirectory() as work, Reader() as reader:
        units = Parts(path, Path(work), reader).units()
    if len(units) >= count:
        what = "repositories, archives and tables" if detect_kind(path) == "folder" else "files"
        return [Shard(i, count) for i in range(count)], f"{len(units):,} {what} are dealt out whole"
    n_folders = _n_top_folders(path)
    rule: Rule = "folders" if n_folders >= _FOLDERS_A_SHARD * count else "names"
    progress = Progress(tell)
    tables = [f for f in jsonl_files(path) if not is_packed(f.name)]
    ranges: dict[str, list[Range]] = {f.name: line_ranges(f.file, count, progress) for f in tables}
    progress.end()
    shards = [Shard(i, count, rule, {name: found[i] for name, found in ranges.items()}) for i in range(count)]
    return shards, f"it holds fewer than {count} repositories, archives and tables: {_words(path, rule, n_folders)}"


def _words(path: Path | str, rule: Rule, n_folders: int) -> str:
    kind = detect_kind(path)
    if kind == "jsonl":
        return "blocks of lines are dealt out" if is_packed(str(path)) else "its lines are cut into ranges"
    if kind == "parquet":
        return "its row groups are dealt out"
    how = f"their {n_folders:,} top folders" if rule == "folders" else "the names of their files without suffix"
    return (
        f"repositories are cut by {how}, tables by lines or row groups; macros and headers in another shard are "
        "unknown to a shard, so that it finds somewhat fewer pairs"
    )


def _n_top_folders(path: Path | str) -> int:
    """Top folders of all repositories of a local folder; 0 where that is not to be had without reading it all."""
    from cpp_pipeline.dumps.gitstore import open_store  # as in `listing`

    if is_remote(path) or detect_kind(path) != "folder":
        return 0
    root = local_path(path)
    total = 0
    for repo in find(root, [])[0]:
        if repo.git:
            try:
                store = open_store(repo.folder, root)
                total += sum(int(e.filemode) == 0o040000 for e in store.tree(store.commit(store.head).tree_id))
                continue
            except (UnreadableRepository, KeyError):
                pass  # its work tree is read as plain files
        with os.scandir(repo.folder) as found:
            total += sum(item.is_dir(follow_symlinks=False) and item.name != ".git" for item in found)
    return total

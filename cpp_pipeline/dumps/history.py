"""`commits`: C and C++ files before and after the small commits of a dump's git histories.

Belongs here: going through the repositories of a dump, and writing the tables. Does not belong here: the commits of
one repository (`commits`), telling a repair from other changes, or finding the function that changed (`extract`).
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from cpp_pipeline.dumps.isolated import Reader, ReaderEnded
from cpp_pipeline.dumps.items import Bad, cut_short
from cpp_pipeline.dumps.parts import Parts
from cpp_pipeline.dumps.registry import check_name
from cpp_pipeline.dumps.remote import is_remote
from cpp_pipeline.dumps.shards import WHOLE, Shard
from cpp_pipeline.dumps.spool import Spool
from cpp_pipeline.schemas import TABLES


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
                from cpp_pipeline.dumps import commits  # as in `listing`: not before a repository is met

                try:
                    yield from reader.stream(commits.of_repository, place.repo, place.root, dump)
                except ReaderEnded as error:
                    yield cut_short(place.repo.name, "reader ended", error)

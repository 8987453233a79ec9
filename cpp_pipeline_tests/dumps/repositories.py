"""Small git repositories for the tests of this room, made without git."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pygit2

AUTHOR = ("Test", "test@localhost")


def commit_files(
    repository: pygit2.Repository, files: Mapping[str, bytes], message: str, time_seconds: int
) -> pygit2.Oid:
    """Commit exactly `files` (no folders) on branch main."""
    builder = repository.TreeBuilder()
    for path, data in files.items():
        builder.insert(path, repository.create_blob(data), pygit2.enums.FileMode.BLOB)
    author = pygit2.Signature(*AUTHOR, time_seconds, 0)
    known = "refs/heads/main" in repository.references
    parents = [repository.references["refs/heads/main"].target] if known else []
    return repository.create_commit(
        "refs/heads/main",
        author,
        author,
        message,
        builder.write(),
        parents,
    )


def make(folder: Path, states: Sequence[Mapping[str, bytes]], bare: bool = False) -> pygit2.Repository:
    """A repository with one commit a state; the newest files lie in the work tree."""
    repository = pygit2.init_repository(str(folder), bare=bare, initial_head="main")
    for number, files in enumerate(states):
        commit_files(repository, files, f"Fix number {number}", 1_700_000_000 + 86_400 * number)
    if not bare:
        for path, data in states[-1].items():
            (folder / path).write_bytes(data)
    return repository

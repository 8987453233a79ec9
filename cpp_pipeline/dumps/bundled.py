"""The bundled dump: a few small C++ projects of our own with their git histories.

Belongs here: turning the files and histories under `bundled/` into git repositories, the same commit ids each
time. Does not belong here: reading dumps (`reading`, `history`).

`bundled/<repo>/` holds a repository's newest files, `bundled/history/<repo>.toml` its commits from the oldest
to the newest. A commit lists the files that it `adds`, and `edits` with the text `now` and the text that it
`was` before the commit; earlier states are made by undoing commits from the newest backwards.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pygit2

SOURCE = Path(__file__).parent / "bundled"
_AUTHOR = ("cpp_pipeline", "cpp_pipeline@localhost")
_MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Step:
    """One commit: message, time in seconds since 1970 (UTC), and all files after it."""

    message: str
    time_seconds: int
    files: Mapping[str, str]


def build(folder: Path) -> Path:
    """Write the bundled dump to `folder` and return it.

    The folder appears in one rename. A complete dump of this version is left as it is, an older one is
    replaced.

    Raises
    ------
    FileExistsError
        When `folder` holds something else.
    """
    digest = source_digest()
    manifest = folder / _MANIFEST
    ours = manifest.is_file() and json.loads(manifest.read_text()).get("name") == "bundled"
    if ours and json.loads(manifest.read_text()).get("source_sha256") == digest:
        return folder
    if not ours and folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} holds something else; choose an empty or new folder for the bundled dump")
    folder.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    new.chmod(0o755)
    try:
        heads = {repo: _write_repository(new / repo, steps(repo)) for repo in repositories()}
        text = {"name": "bundled", "licence": "Apache-2.0", "source_sha256": digest, "heads": heads}
        (new / _MANIFEST).write_text(json.dumps(text, indent=2, sort_keys=True) + "\n")
        if folder.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
            os.rename(folder, old / "dump")
            os.rename(new, folder)
            shutil.rmtree(old)
        else:
            os.rename(new, folder)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    return folder


def repositories() -> list[str]:
    """Names of the bundled repositories."""
    return sorted(f.stem for f in (SOURCE / "history").glob("*.toml"))


def source_digest() -> str:
    """sha256 over names and contents of everything that the dump is made of."""
    digest = hashlib.sha256()
    for file in sorted(f for f in SOURCE.rglob("*") if f.is_file()):
        data = file.read_bytes()
        digest.update(f"{file.relative_to(SOURCE).as_posix()}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()


def steps(repo: str) -> list[Step]:
    """The commits of a bundled repository from the oldest to the newest, each with all its files.

    Raises
    ------
    ValueError
        When an edit's text does not occur exactly once: the history does not fit the files.
    """
    history = tomllib.loads((SOURCE / "history" / f"{repo}.toml").read_text())["commit"]
    files = {"LICENSE": (SOURCE / "LICENSE").read_text(), **dict(_newest_files(SOURCE / repo))}
    found: list[Step] = []
    for commit in reversed(history):
        when: datetime = commit["time"]
        found.append(Step(commit["message"], int(when.timestamp()), dict(files)))
        for edit in reversed(commit.get("edits", [])):
            path, now, was = edit["path"], edit["now"], edit["was"]
            times = files[path].count(now)
            if times != 1:
                raise ValueError(f"{repo}.toml: {commit['message']!r}: found {times} times in {path}: {now!r}")
            files[path] = files[path].replace(now, was)
        for path in commit.get("adds", []):
            del files[path]
    if not found or not files:
        raise ValueError(f"{repo}.toml: the first commit has no files")
    return found[::-1]


def _newest_files(folder: Path) -> Iterator[tuple[str, str]]:
    for file in sorted(f for f in folder.rglob("*") if f.is_file()):
        yield file.relative_to(folder).as_posix(), file.read_text(encoding="utf-8")


def _write_repository(folder: Path, commits: list[Step]) -> str:
    """Make a git repository with a work tree from `commits`; returns the id of its HEAD."""
    repository = pygit2.init_repository(str(folder), initial_head="main")
    parents: list[pygit2.Oid] = []
    for step in commits:
        author = pygit2.Signature(*_AUTHOR, step.time_seconds, 0)
        tree = _write_tree(repository, step.files)
        parents = [repository.create_commit("refs/heads/main", author, author, step.message + "\n", tree, parents)]
    for path, text in commits[-1].files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode())
    repository.index.read_tree(tree)
    repository.index.write()
    return str(parents[0])


def _write_tree(repository: pygit2.Repository, files: Mapping[str, str]) -> pygit2.Oid:
    below: dict[str, dict[str, str]] = {}
    builder = repository.TreeBuilder()
    for path, text in files.items():
        top, _, rest = path.partition("/")
        if rest:
            below.setdefault(top, {})[rest] = text
        else:
            builder.insert(path, repository.create_blob(text.encode()), pygit2.enums.FileMode.BLOB)
    for name, inside in below.items():
        builder.insert(name, _write_tree(repository, inside), pygit2.enums.FileMode.TREE)
    return builder.write()

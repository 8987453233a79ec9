"""From a dump of any kind to its parts: repositories that lie in folders, and tables.

Belongs here: which parts there are, in which order, whose they are when the dump is split, and unpacking or
copying one at a time to scratch. Does not belong here: reading a part (`reading`, `history`, `repairs`).
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from cpp_pipeline.dumps import archives, repos
from cpp_pipeline.dumps.isolated import Reader, ReaderEnded
from cpp_pipeline.dumps.items import Bad, cut_short, path_text
from cpp_pipeline.dumps.registry import detect_kind, file_kind
from cpp_pipeline.dumps.remote import Remote, file_name, is_remote, local_path, need_room, open_remote
from cpp_pipeline.dumps.repos import Loose, Repo
from cpp_pipeline.dumps.shards import WHOLE, Shard

_DEBIAN = re.compile(r"(?P<package>[a-z0-9][a-z0-9.+-]*)_[^_]+?\.(?P<part>orig(-[A-Za-z0-9-]+)?|debian)\.tar\.\w+")


@dataclass(frozen=True)
class Place:
    """A repository, and the folder that it may not reach out of."""

    repo: Repo
    root: Path


def jsonl_files(path: Path | str, shard: Shard = WHOLE) -> list[Loose]:
    """The JSONL files of a dump, or of a shard of it, in the order of their names."""
    found = loose_files(path)
    return [f for f in found if f.kind == "jsonl" and shard.has_unit(f.name)]


def loose_files(path: Path | str) -> list[Loose]:
    """The archives and tables of a dump: itself, or what lies at the top of its folder and in `data/`."""
    kind = detect_kind(path)
    if kind != "folder":
        return [Loose(file_name(path), str(path) if is_remote(path) else local_path(path), kind)]
    if not is_remote(path):
        return repos.find(local_path(path), [])[1]
    found = open_remote(path)
    folders, objects = found.tops()
    objects += found.tops("data")[1] if "data" in folders else []
    kinds = ((o.path, file_kind(o.path)) for o in objects)
    return [Loose(place, found.url(place), kind) for place, kind in kinds if kind is not None]


class Parts:
    """Goes through the parts of a dump, or of a shard of it.

    Trouble with the dump itself (refused archive members, sources beside repositories) is collected in `bad`.

    Parameters
    ----------
    path
        Path or URL.
    work
        Empty scratch folder. It holds one archive's or one bucket folder's content at a time.
    reader
        Unpacks archives.
    """

    def __init__(self, path: Path | str, work: Path, reader: Reader, shard: Shard = WHOLE) -> None:
        self._path, self._work, self._reader, self._shard = path, work, reader, shard
        self._taken: set[str] = set()
        self.bad: list[Bad] = []
        self._remote: Remote | None = open_remote(path) if is_remote(path) else None
        self._kind = detect_kind(path)

    def tables(self) -> list[Loose]:
        """JSONL and parquet files, in the order of their names."""
        return [f for f in loose_files(self._path) if f.kind != "archive" and self._shard.has_unit(f.name)]

    def repositories(self) -> Iterator[Place]:
        """Repositories in a stable order; what was unpacked or copied for one is gone at the next."""
        if self._kind == "folder":
            yield from self._from_bucket() if self._remote else self._from_folder()
        for group in _groups([f for f in loose_files(self._path) if f.kind == "archive"]):
            if self._shard.has_unit(group[0]):
                for repo in self._unpacked(group[1]):
                    yield Place(self._named(repo), self._work)
                self._clear()

    def units(self) -> list[str]:
        """Names of what is never cut when there is enough of it: repositories, archives, tables."""
        loose = loose_files(self._path)
        names = [f.name for f in loose if f.kind != "archive"]
        names += [name for name, _ in _groups([f for f in loose if f.kind == "archive"])]
        if self._kind == "folder":
            names += self._remote_tops() if self._remote else self._local_names()
        return sorted(names)

    def _local_names(self) -> list[str]:
        return [repo.name for repo in repos.find(local_path(self._path), [])[0]]

    def _from_folder(self) -> Iterator[Place]:
        root = local_path(self._path)
        beside: list[Bad] = []
        for repo in repos.find(root, beside)[0]:
            if self._shard.has_unit(repo.name):
                yield Place(self._named(repo), root)
        self.bad += [b for b in beside if self._shard.tells(b.where)]

    def _remote_tops(self) -> list[str]:
        assert self._remote is not None
        folders, objects = self._remote.tops()
        names = [(f, True) for f in folders] + [(o.path, False) for o in objects]
        bare = "objects" in folders and any(o.path == "HEAD" for o in objects)
        loose = any(file_kind(o.path) for o in objects)
        if bare or ".git" in folders or repos.looks_like_project(names, weak_marks=not loose):
            return ["."]
        tables = any(item.name.startswith("data/") for item in loose_files(self._path))
        return [f for f in folders if f != "data" or not tables]

    def _from_bucket(self) -> Iterator[Place]:
        assert self._remote is not None
        for top in self._remote_tops():
            # A folder may group clones, which are units of their own only after it is here.
            if not self._shard.has_unit(top):
                continue
            target = self._work / "copy"
            refused: list[Bad] = []
            self._remote.copy("" if top == "." else top, target / top, repos.wanted_member, refused)
            self.bad += [b for b in refused if self._shard.rule == "units" or self._shard.tells(b.where)]
            if (target / top).is_dir():
                for repo in repos.grouped(target / top, "" if top == "." else top):
                    yield Place(self._named(repo), self._work)
            self._clear()

    def _unpacked(self, group: list[Loose]) -> list[Repo]:
        """The repositories of one archive, or of the archives of one Debian source package."""
        if _DEBIAN.fullmatch(group[0].name.rpartition("/")[2]):
            return [self._debian(group)]
        target = self._work / group[0].name
        self._extract(group[0], target)
        inside, _ = repos.find(target, self.bad)
        name = file_name(group[0].name)
        stem = path_text(os.fsencode(name.split(".")[0])) or name
        return sorted((Repo(stem, r.folder, r.git) if r.name == "." else r for r in inside), key=lambda r: r.name)

    def _debian(self, group: list[Loose]) -> Repo:
        """One tree, without the top folder that upstream archives have."""
        package = ""
        for item in group:
            found = _DEBIAN.fullmatch(file_name(item.name))
            assert found is not None
            package = found["package"]
            target, folder = self._work / item.name, self._work / "debian" / package
            self._extract(item, target)
            top = target if found["part"] == "debian" else archives.strip_single_folder(target)
            folder = folder / found["part"].removeprefix("orig-") if found["part"].startswith("orig-") else folder
            shutil.copytree(top, folder, dirs_exist_ok=True)
            shutil.rmtree(target)
        return Repo(package, self._work / "debian" / package, False)

    def _extract(self, item: Loose, target: Path) -> None:
        file = self._local(item)
        prefix = item.name.removesuffix(file.name)
        shared = self._shard.rule != "units"
        target.mkdir(parents=True)
        try:
            for bad in self._reader.stream(archives.extract, file, target, repos.wanted_member, None, prefix):
                if not shared or self._shard.tells(bad.where):
                    self.bad.append(bad)
        except ReaderEnded as error:
            self.bad.append(cut_short(item.name, "broken archive", error))

    def _local(self, item: Loose) -> Path:
        """The archive as a local file; an object is copied to scratch."""
        if not is_remote(item.file):
            return Path(item.file)
        found = open_remote(item.file)
        need_room(self._work, found.object().size_bytes, str(item.file))
        copy = self._work / "archive" / file_name(item.name)
        copy.parent.mkdir()
        found.system.get_file(found.root, str(copy))
        return copy

    def _named(self, repo: Repo) -> Repo:
        """Repositories of equal name (a folder and an archive, say) are told apart as `name`, `name~2`, ..."""
        name, number = repo.name, 1
        while name in self._taken:
            number += 1
            name = f"{repo.name}~{number}"
        self._taken.add(name)
        return replace(repo, name=name)

    def _clear(self) -> None:
        for item in self._work.iterdir():
            shutil.rmtree(item)


def _groups(loose: list[Loose]) -> list[tuple[str, list[Loose]]]:
    """Archives that belong together (the parts of a Debian source package), by the name of the unit."""
    groups: dict[str, list[Loose]] = {}
    for item in loose:
        debian = _DEBIAN.fullmatch(file_name(item.name))
        groups.setdefault(debian["package"] if debian else item.name, []).append(item)
    return sorted(groups.items())

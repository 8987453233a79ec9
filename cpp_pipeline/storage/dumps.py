"""The user's dumps and problem sets: small pointer files under the storage root.

Belongs here: registering, listing and removing. Reading a dump is `cpp_pipeline/dumps/`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cpp_pipeline.dumps.manifest import place_of
from cpp_pipeline.dumps.progress import Tell, silent
from cpp_pipeline.dumps.registry import check_name, detect_kind
from cpp_pipeline.dumps.remote import file_name, is_remote, local_path, open_remote
from cpp_pipeline.dumps.shards import WHOLE, Shard, shard_names
from cpp_pipeline.dumps.splitting import split
from cpp_pipeline.schemas import TABLES
from cpp_pipeline.storage.scratch import scratch_folder
from cpp_pipeline.storage.store import Store


@dataclass(frozen=True)
class Dump:
    """A registered dump: partition key, where it lies (path or URL), what it is, and which shard of it.

    All shards of one dump have the same `group`, the name that it was added by; a whole dump has none.
    """

    name: str
    path: str
    kind: str
    group: str = ""
    shard: Shard = WHOLE

    def to_json(self) -> str:
        """The pointer file's text."""
        whole = {"name": self.name, "path": self.path, "kind": self.kind}
        return json.dumps(whole if not self.group else whole | {"group": self.group, "shard": self.shard.to_json()})

    @classmethod
    def from_json(cls, text: str) -> Dump:
        """The dump that `to_json` wrote."""
        value = json.loads(text)
        if "shard" in value:
            value["shard"] = Shard.from_json(value["shard"])
        return cls(**value)


def check_dump(store: Store, path: Path | str, name: str) -> Dump:
    """The dump that `add_dump` would register; nothing is written.

    Raises
    ------
    ValueError
        The name is not allowed or taken by another path, or the storage root lies inside the dump.
    FileNotFoundError
        Nothing lies at `path`.
    """
    check_name(name)
    place = _absolute(path)
    kind = detect_kind(place)
    if not is_remote(place) and store.is_local and Path(str(store.root)).resolve().is_relative_to(place):
        raise ValueError(
            f"the storage root {store.root} lies inside the dump {place}, which would then hold its own "
            "tables; choose a --root outside of it"
        )
    for known in dumps(store):
        if known.name == name and known.path == place:
            return known
        if name in (known.name, known.group):
            raise ValueError(
                f"{place}: dump {name} is already registered for {known.path}{_cut(known)}; take that away "
                f"(`cpp-pipeline dumps remove {name}`) or give this one another name "
                f"(`cpp-pipeline dumps add {place} --name NAME`)"
            )
    return Dump(name, place, kind)


def _cut(known: Dump) -> str:
    return f", cut into {known.shard.count}" if known.group else ""


def _absolute(path: Path | str) -> str:
    return str(path).rstrip("/") if is_remote(path) else str(local_path(path).expanduser().resolve())


def add_dump(store: Store, path: Path | str, name: str) -> Dump:
    """Register a dump; the data stay where they are. Raises as `check_dump` does."""
    dump = check_dump(store, path, name)
    store.write_text(f"dumps/{dump.name}.json", dump.to_json())
    return dump


def add_shards(store: Store, path: Path | str, name: str, count: int, tell: Tell = silent) -> tuple[list[Dump], str]:
    """Register a dump as `count` partitions NAME-0001-of-000N; the data stay where they are, uncut.

    The same command once more finds the shards registered and leaves them as they are.

    Returns
    -------
    list of Dump, str
        The shards, and in words how the dump is cut.

    Raises
    ------
    ValueError, FileNotFoundError
        As `check_dump`; also for a count that cannot be, and for a dump that is cut otherwise already.
    """
    names = shard_names(name, count)
    check_name(names[-1])
    place = _absolute(path)
    known = [d for d in dumps(store) if d.group == name]
    if [(d.name, d.path) for d in known] == [(n, place) for n in names]:
        return known, "as before"
    found = check_dump(store, place, name)
    if found in dumps(store):
        raise ValueError(f"dump {name} is registered whole; take it away first (`cpp-pipeline dumps remove {name}`)")
    for shard_name in names:
        check_dump(store, place, shard_name)
    shards, words = split(place, count, tell)
    cut = [Dump(n, place, found.kind, name, shard) for n, shard in zip(names, shards, strict=True)]
    for dump in cut:
        store.write_text(f"dumps/{dump.name}.json", dump.to_json())
    return cut, words


def named(store: Store, paths: Sequence[Path | str]) -> list[tuple[str, Path | str]]:
    """Names for dumps that were given by path alone: the known ones, else one made of the last part of the path.

    Raises
    ------
    ValueError
        Two of them would get the same name.
    """
    known: dict[str, list[str]] = {}
    for registered in dumps(store):
        known.setdefault(registered.path, []).append(registered.name)
    found: dict[str, str] = {}
    for place in dict.fromkeys(_absolute(p) for p in paths):
        for name in known.get(place, [made_name(place)]):
            if name in found:
                raise ValueError(
                    f"{found[name]} and {place} would both be dump {name!r}; name one of them first: "
                    f"`cpp-pipeline dumps add {place} --name NAME`"
                )
            found[name] = place
    return [(name, place if is_remote(place) else Path(place)) for name, place in found.items()]


def made_name(place: str) -> str:
    """The name of a dump that was given none: the last part of its path, as far as a name can hold it."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", file_name(place)).strip("-._")[:100] or "dump"


def dumps(store: Store) -> list[Dump]:
    """All registered dumps by name, each shard on its own."""
    names = (n for n in store.place("dumps").names() if n.endswith(".json") and not n.startswith("."))
    found = (_registered(store, name.removesuffix(".json")) for name in names)
    return sorted((d for d in found if d is not None), key=lambda d: d.name)


def _registered(store: Store, name: str) -> Dump | None:
    content = store.place(f"dumps/{name}.json").read()
    return None if content is None else Dump.from_json(content.decode())


def dump(store: Store, name: str) -> Dump:
    """One registered dump or shard."""
    if (known := _registered(store, name)) is not None:
        return known
    raise KeyError(f"no dump {name!r}; known: {', '.join(d.name for d in dumps(store)) or 'none'}")


def dump_in_place(store: Store, name: str) -> Dump:
    """One registered dump or shard, for readers.

    Raises
    ------
    FileNotFoundError
        What was registered is no longer where it was; says what to do.
    """
    found = dump(store, name)
    try:
        detect_kind(found.path)
    except FileNotFoundError as error:
        remedy = f"put it back, or take the dump away: `cpp-pipeline dumps remove {found.group or name}`"
        raise FileNotFoundError(f"{error}; {remedy}") from error
    return found


def remove_dump(store: Store, name: str) -> list[str]:
    """Forget a dump, or all shards of one, with their partitions of every table; the user's data are not touched.

    Returns
    -------
    list of str
        The partition keys that are gone.
    """
    gone = [d.name for d in dumps(store) if d.group == name] or [dump(store, name).name]
    for key in gone:
        for table in TABLES.values():
            if table.partitioned:
                store.delete_table(table.name, key)
        store.place(f"dumps/{key}.json").delete()
    return gone


def fingerprint(path: str) -> str:
    """Names, sizes and times (of objects: generations) of all files below a path: a cheap sign that a dump changed."""
    digest = hashlib.sha256()
    if is_remote(path):
        found = open_remote(path)
        for item in found.objects() if found.is_folder() else [found.object()]:
            digest.update(f"{item.path}\0{item.size_bytes}\0{item.version}\n".encode("utf-8", "surrogatepass"))
        return digest.hexdigest()[:32]
    entries = iter((path, place_of(path, is_folder=False))) if Path(path).is_file() else _walk(path)
    for entry in entries:
        try:
            stat = os.lstat(entry)
        except FileNotFoundError:  # taken away since it was listed
            continue
        place = os.fsencode(os.path.relpath(entry, path))
        digest.update(place + f"\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:32]


def _walk(path: str) -> Iterator[str]:
    for folder, folders, names in os.walk(path):
        folders.sort()
        yield from (os.path.join(folder, name) for name in sorted(names))


def add_problems(store: Store, path: Path) -> Path:
    """Copy a problem set (own format or HumanEval-X JSONL) below the root for `eval_problems`."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not a file; give a JSONL problem set")
    store.write_text(f"problems/{path.name}", path.read_text(encoding="utf-8"))
    return path


def problem_sets(store: Store) -> list[Path]:
    """The user's problem sets by name, as local files."""
    names = [n for n in store.place("problems").names() if n.endswith(".jsonl") and not n.startswith(".")]
    if store.is_local:
        return [Path(str(store.root)) / "problems" / name for name in names]
    copies = scratch_folder() / "problems"
    for name in names:
        store.place(f"problems/{name}").download(copies / name)
    return [copies / name for name in names]

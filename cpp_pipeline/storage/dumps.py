"""The user's dumps and problem sets: small pointer files under the storage root.

Belongs here: registering, listing and removing. Reading a dump is `cpp_pipeline/dumps/`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from cpp_pipeline.dumps.registry import check_name, detect_kind
from cpp_pipeline.schemas import TABLES
from cpp_pipeline.storage.scratch import scratch_folder
from cpp_pipeline.storage.store import Store


@dataclass(frozen=True)
class Dump:
    """A registered dump: partition key, where it lies, what it is."""

    name: str
    path: str
    kind: str


def check_dump(store: Store, path: Path, name: str) -> Dump:
    """The dump that `add_dump` would register; nothing is written.

    Raises
    ------
    ValueError
        The name is not allowed or taken by another path, or the storage root lies inside the dump.
    FileNotFoundError
        Nothing lies at `path`.
    """
    check_name(name)
    path = path.expanduser()
    dump = Dump(name, str(path.resolve()), detect_kind(path))
    if store.is_local and Path(str(store.root)).resolve().is_relative_to(dump.path):
        raise ValueError(
            f"the storage root {store.root} lies inside the dump {dump.path}, which would then hold its own "
            "tables; choose a --root outside of it"
        )
    for known in dumps(store):
        if known.name == name and known.path != dump.path:
            raise ValueError(
                f"{dump.path}: dump {name} is already registered for {known.path}; take that away "
                f"(`cpp-pipeline dumps remove {name}`) or give this one another name "
                f"(`cpp-pipeline dumps add {dump.path} --name NAME`)"
            )
    return dump


def add_dump(store: Store, path: Path, name: str) -> Dump:
    """Register a dump; the data stay where they are. Raises as `check_dump` does."""
    dump = check_dump(store, path, name)
    store.write_text(f"dumps/{name}.json", json.dumps(asdict(dump)))
    return dump


def named(store: Store, paths: Sequence[Path]) -> list[tuple[str, Path]]:
    """Names for dumps that were given by path alone: the known name, else one made of the last part of the path.

    Raises
    ------
    ValueError
        Two of them would get the same name.
    """
    known = {d.path: d.name for d in dumps(store)}
    found: dict[str, str] = {}
    for path in dict.fromkeys(str(p.expanduser().resolve()) for p in paths):
        name = known.get(path) or re.sub(r"[^A-Za-z0-9._-]+", "-", Path(path).name).strip("-._")[:100] or "dump"
        if name in found:
            raise ValueError(
                f"{found[name]} and {path} would both be dump {name!r}; name one of them first: "
                f"`cpp-pipeline dumps add {path} --name NAME`"
            )
        found[name] = path
    return [(name, Path(path)) for name, path in found.items()]


def dumps(store: Store) -> list[Dump]:
    """All registered dumps by name."""
    folder = store.root / "dumps"
    if not folder.exists():
        return []
    found = (json.loads(p.read_text()) for p in folder.iterdir() if p.name.endswith(".json"))
    return sorted((Dump(**d) for d in found), key=lambda d: d.name)


def dump(store: Store, name: str) -> Dump:
    """One registered dump."""
    for known in dumps(store):
        if known.name == name:
            return known
    raise KeyError(f"no dump {name!r}; known: {', '.join(d.name for d in dumps(store)) or 'none'}")


def remove_dump(store: Store, name: str) -> None:
    """Forget a dump and its partition of every table; the user's data are not touched."""
    dump(store, name)
    for table in TABLES.values():
        if table.partitioned:
            store.table_path(table.name, name).unlink(missing_ok=True)
    (store.root / "dumps" / f"{name}.json").unlink()


def fingerprint(path: str) -> str:
    """Names, sizes and times of all files below a path: a cheap sign that a dump changed."""
    digest = hashlib.sha256()
    entries = [path] if Path(path).is_file() else _walk(path)
    for entry in entries:
        try:
            stat = os.lstat(entry)
        except FileNotFoundError:  # taken away since it was listed
            continue
        place = os.fsencode(os.path.relpath(entry, path))
        digest.update(place + f"\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:32]


def _walk(path: str) -> list[str]:
    return sorted(os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names)


def add_problems(store: Store, path: Path) -> Path:
    """Copy a problem set (own format or HumanEval-X JSONL) below the root for `eval_problems`."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not a file; give a JSONL problem set")
    store.write_text(f"problems/{path.name}", path.read_text(encoding="utf-8"))
    return path


def problem_sets(store: Store) -> list[Path]:
    """The user's problem sets by name, as local files."""
    folder = store.root / "problems"
    if not folder.exists():
        return []
    found = sorted((p for p in folder.iterdir() if p.name.endswith(".jsonl")), key=lambda p: p.name)
    if store.is_local:
        return [Path(str(p)) for p in found]
    copies = scratch_folder() / "problems"
    copies.mkdir(exist_ok=True)
    for path in found:
        (copies / path.name).write_bytes(path.read_bytes())
    return [copies / p.name for p in found]

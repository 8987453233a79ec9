"""The user's dumps and problem sets: small pointer files under the storage root.

Belongs here: registering, listing and removing. Reading a dump is `cpp_pipeline/dumps/`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from cpp_pipeline.dumps.registry import check_name, detect_kind
from cpp_pipeline.schemas import TABLES
from cpp_pipeline.storage.store import Store


@dataclass(frozen=True)
class Dump:
    """A registered dump: partition key, where it lies, what it is."""

    name: str
    path: str
    kind: str


def add_dump(store: Store, path: Path, name: str) -> Dump:
    """Register a dump; the data stay where they are.

    Raises
    ------
    ValueError
        The name is not allowed, or taken by another path.
    FileNotFoundError
        Nothing lies at `path`.
    """
    check_name(name)
    dump = Dump(name, str(path.expanduser().resolve()), detect_kind(path))
    for known in dumps(store):
        if known.name == name and known.path != dump.path:
            raise ValueError(f"dump {name} is already registered for {known.path}; remove it or use another name")
    target = store.root / "dumps" / f"{name}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(asdict(dump)))
    return dump


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
        stat = os.lstat(entry)
        digest.update(f"{os.path.relpath(entry, path)}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:32]


def _walk(path: str) -> list[str]:
    return sorted(os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names)


def add_problems(store: Store, path: Path) -> Path:
    """Copy a problem set (own format or HumanEval-X JSONL) below the root for `eval_problems`."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not a file; give a JSONL problem set")
    folder = Path(str(store.root)) / "problems"
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{path.name}.tmp"
    shutil.copyfile(path, partial)
    os.replace(partial, folder / path.name)
    return folder / path.name


def problem_sets(store: Store) -> list[Path]:
    """The user's problem sets, by name."""
    folder = Path(str(store.root)) / "problems"
    return sorted(p for p in folder.glob("*.jsonl")) if folder.exists() else []

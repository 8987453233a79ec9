"""Files of an unfinished run: checkpoints of the training state, append-only logs, create-only JSON.

Belongs here: what must hold when the process is killed at any moment.
Does not belong here: when to save (`common`).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

KEEP = 2
_HEADER = "header.json"
_TENSORS = "state.pt"


class Stateful(Protocol):
    """What a run keeps in its checkpoints beside the model."""

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue, as tensors, numbers, strings, lists and dicts."""
        ...

    def load_state_dict(self, state: Any) -> Any:
        """Continue from a `state_dict`."""
        ...


@dataclass(frozen=True)
class Header:
    """Where a checkpoint stands: steps done, tokens seen, size of metrics.jsonl then, configuration."""

    step: int
    tokens: int
    metrics_bytes: int
    config: dict[str, Any]


@dataclass(frozen=True)
class Checkpoint(Header):
    """A whole checkpoint on disk."""

    folder: Path

    def load(self) -> dict[str, Any]:
        """The saved objects, tensors on the CPU; only plain data is unpickled."""
        loaded: dict[str, Any] = torch.load(self.folder / _TENSORS, map_location="cpu", weights_only=True)
        return loaded


def save(root: Path, parts: Mapping[str, Any], header: Header) -> Path:
    """Write `root/step-<n>` through a scratch folder and one rename; older ones beyond `KEEP` go."""
    folder = root / f"step-{header.step:08d}"
    scratch = root / f".part-{header.step:08d}"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    with (scratch / _TENSORS).open("wb") as out:
        torch.save(dict(parts), out)
        out.flush()
        os.fsync(out.fileno())
    record = {**asdict(header), "sha256": _sha256(scratch / _TENSORS)}
    (scratch / _HEADER).write_text(json.dumps(record, sort_keys=True) + "\n", encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)  # a damaged one of the same step
    os.replace(scratch, folder)
    for old in _folders(root)[KEEP:]:
        shutil.rmtree(old)
    return folder


def newest(root: Path, config: Mapping[str, Any]) -> Checkpoint | None:
    """Newest whole checkpoint of this configuration; damaged ones are named and passed over."""
    for folder in _folders(root):
        try:
            record = json.loads((folder / _HEADER).read_text(encoding="utf-8"))
            whole = record.pop("sha256") == _sha256(folder / _TENSORS)
        except (OSError, ValueError, KeyError) as error:
            print(f"{folder}: unreadable checkpoint passed over ({error})", file=sys.stderr)
            continue
        if not whole:
            print(f"{folder}: damaged checkpoint passed over (sha256 differs)", file=sys.stderr)
        elif record["config"] != config:
            print(f"{folder}: belongs to another configuration; starting over", file=sys.stderr)
            return None
        else:
            return Checkpoint(**record, folder=folder)
    return None


def latest_folder(root: Path) -> Path | None:
    """Folder of the newest checkpoint, or None."""
    return next(iter(_folders(root)), None)


def _folders(root: Path) -> list[Path]:
    return sorted(root.glob("step-*"), reverse=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def append_line(path: Path, value: Mapping[str, Any]) -> None:
    """Append one JSON object as a line, in one write."""
    with path.open("a", encoding="utf-8") as out:
        out.write(json.dumps(value) + "\n")


def synced_size(path: Path) -> int:
    """Size in bytes, after what was written has reached the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return path.stat().st_size


def last_cpu_seconds(timing: Path) -> float:
    """CPU seconds in the last whole line of timing.jsonl; 0 without one."""
    if not timing.is_file():
        return 0.0
    for line in reversed(timing.read_text(encoding="utf-8").split("\n")[:-1]):
        return float(json.loads(line)["cpu_seconds"])
    return 0.0


def create_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON file that must not exist yet; readers see all of it or nothing.

    Raises
    ------
    FileExistsError
        When `path` exists.
    """
    scratch = path.with_name(path.name + f".part-{os.getpid()}")
    with scratch.open("w", encoding="utf-8") as out:
        out.write(json.dumps(value, indent=1, sort_keys=True) + "\n")
        out.flush()
        os.fsync(out.fileno())
    try:
        os.link(scratch, path)  # unlike a rename, fails when the target exists
    finally:
        scratch.unlink()


def file_sha256(path: Path) -> str:
    """Content hash of an input, for a run's configuration.

    Of a checkpoint folder: the weights' hash in its result.json, or the hashes of its weight files.
    """
    if path.is_file():
        return _sha256(path)
    result = path / "result.json"
    if result.is_file():
        return str(json.loads(result.read_text(encoding="utf-8"))["weights_sha256"])
    files = sorted(path.glob("*.safetensors"))
    if not files:
        raise FileNotFoundError(f"{path}: neither a file nor a folder with weights")
    return hashlib.sha256("".join(_sha256(f) for f in files).encode()).hexdigest()

"""The real C++ that the data subjects are measured on: source trees and bare git repositories, given by folder.

Belongs here: finding them. `scripts/bench-corpora` fetches them. Nothing in them is ever run, and git is never run
inside them.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common.rows import NOT_RUN, Options, Row

SUFFIXES = (".c", ".cc", ".cpp", ".cxx", ".h", ".hh", ".hpp", ".hxx", ".inl", ".ipp", ".tpp")
_VERSIONS = """
import importlib.metadata, sys
print(*(f"{name} {importlib.metadata.version(name)}" for name in sys.argv[1:]), sep=", ")
"""


def corpora(options: Options) -> dict[str, Path]:
    """Name -> folder of each source tree below `--corpora`; empty when the option was not given."""
    return _folders(options.corpora)


def histories(options: Options) -> dict[str, Path]:
    """Name -> bare repository of each clone below `--histories`; empty when the option was not given.

    A repository is a folder that holds `objects`, or one level deeper the folder `repo` that does.
    """
    found = _folders(options.histories)
    places = {name: p if (p / "objects").is_dir() else p / "repo" for name, p in found.items()}
    return {name: p for name, p in places.items() if (p / "objects").is_dir()}


def sources(folder: Path) -> list[Path]:
    """All C and C++ files below a folder, sorted; links are not followed."""
    return sorted(p for p in folder.rglob("*") if p.suffix in SUFFIXES and p.is_file() and not p.is_symlink())


def peer_python(options: Options, name: str) -> Path | None:
    """The interpreter of a peer's own environment, `PEERS/NAME/bin/python`; None when it is not there."""
    python = (options.peers or Path("/nonexistent")) / name / "bin" / "python"
    return python if python.exists() else None


def peer_version(options: Options, name: str, packages: Sequence[str] = ()) -> str:
    """Name and version of a peer and of further packages of its environment; empty when it is not there."""
    python = peer_python(options, name)
    if python is None:
        return ""
    command = [str(python), "-I", "-c", _VERSIONS, name, *packages]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def not_run(subject: str, what: str, remedy: str, against: str = "") -> Row:
    """The row of a subject that lacks its input or its peer: never an old figure."""
    return Row(subject, what, NOT_RUN, notes=remedy, against=against)


def _folders(top: Path | None) -> dict[str, Path]:
    if top is None:
        return {}
    return {p.name: p for p in sorted(top.iterdir()) if p.is_dir()}

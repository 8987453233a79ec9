"""What a dump may be called and what may be a dump.

Belongs here: the rule for dump names, the kind of a dump from what lies at its path, and the errors for
names and paths that do not fit. Does not belong here: reading a dump (`reading`, `history`, `listing`), or how
object stores are reached (`remote`).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from cpp_pipeline.dumps import remote

Kind = Literal["folder", "archive", "jsonl", "parquet"]

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
ARCHIVE_SUFFIXES = (
    ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst", ".zip",
)  # fmt: skip
JSONL_SUFFIXES = tuple(stem + packed for stem in (".jsonl", ".ndjson") for packed in ("", ".gz", ".bz2", ".xz", ".zst"))
PARQUET_SUFFIXES = (".parquet",)
_REMEDY = "point the dump at a folder, a tar or zip archive, a .jsonl or a .parquet file"


def check_name(name: str) -> str:
    """Return `name` when it can be a partition key and a file name.

    Raises
    ------
    ValueError
        With the rule and a name that would be accepted.
    """
    if NAME.fullmatch(name):
        return name
    better = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:100] or "my-dump"
    raise ValueError(
        f"dump name {name!r} is not allowed: 1 to 100 of the characters A-Z a-z 0-9 . _ -, starting with a "
        f"letter or digit (no slash, no space); for example {better!r}"
    )


def file_kind(file_name: str) -> Kind | None:
    """Kind of a file by its name; None for anything that is no dump file."""
    lower = file_name.lower()
    if lower.endswith(ARCHIVE_SUFFIXES):
        return "archive"
    if lower.endswith(JSONL_SUFFIXES):
        return "jsonl"
    if lower.endswith(PARQUET_SUFFIXES):
        return "parquet"
    return None


def detect_kind(path: Path | str) -> Kind:
    """Tell what kind of dump lies at `path`. An empty folder is a dump with zero files.

    Raises
    ------
    FileNotFoundError
        When nothing is there.
    ValueError
        When it is a file of another kind, or no regular file.
    """
    if remote.is_remote(path):
        found = remote.open_remote(path)
        if found.is_folder():
            return "folder"
        return _kind_of_file(remote.file_name(path), str(path))
    path = remote.local_path(path)
    if not path.exists():
        raise FileNotFoundError(f"dump not found: {path} does not exist; {_REMEDY}")
    if path.is_dir():
        return "folder"
    if not path.is_file():
        raise ValueError(f"{path} is neither a folder nor a regular file; {_REMEDY}")
    return _kind_of_file(path.name, str(path))


def _kind_of_file(name: str, place: str) -> Kind:
    kind = file_kind(name)
    if kind is None:
        raise ValueError(f"{place}: unknown kind of file (suffix {Path(name).suffix!r}); {_REMEDY}")
    return kind

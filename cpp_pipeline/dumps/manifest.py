"""`manifest.json`: what a user says about a dump that its files do not say themselves.

Belongs here: finding and reading it. Does not belong here: the fields of known data sets (`records`).

    {"name": "my crawl", "licence": "MIT", "fields": {"content": "source", "path": "file", "repo": "project"}}

It lies in the folder of a dump, or beside a dump that is one file. Every key is optional, others are allowed.
`licence` counts where neither file nor repository names one; `fields` maps our names to the fields of records.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cpp_pipeline.dumps.items import Bad
from cpp_pipeline.dumps.licences import normalise
from cpp_pipeline.dumps.remote import is_remote, local_path, open_file, open_remote

NAME = "manifest.json"
MAPPED = ("content", "path", "repo", "licence", "commit", "language")
_MAX_BYTES = 1_000_000


@dataclass(frozen=True)
class Manifest:
    """A licence for files without one, and the fields of records by our names."""

    licence: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)


EMPTY = Manifest()


def place_of(path: Path | str, is_folder: bool) -> str:
    """Where the manifest of a dump would lie."""
    if is_remote(path):
        text = str(path).rstrip("/")
        return f"{text if is_folder else text.rpartition('/')[0]}/{NAME}"
    local = local_path(path)
    return str((local if is_folder else local.parent) / NAME)


def read(place: str) -> tuple[Manifest, list[Bad]]:
    """The manifest at a path or URL; one that does not fit is a row for the quarantine and counts as none."""
    try:
        text = _text(place)
        if text is None:
            return EMPTY, []
        return _parsed(json.loads(text)), []
    except (OSError, ValueError, RecursionError) as error:
        return EMPTY, [Bad(NAME, "broken manifest", f"{error}; the dump is read without it")]


def _text(place: str) -> bytes | None:
    if is_remote(place):
        found = open_remote(place)
        if not found.system.isfile(found.root):
            return None
    else:
        try:
            info = local_path(place).lstat()
        except FileNotFoundError:
            return None
        if not stat.S_ISREG(info.st_mode):
            raise ValueError("it is no regular file")
    with open_file(place) as stream:
        text = stream.read(_MAX_BYTES + 1)
    if len(text) > _MAX_BYTES:
        raise ValueError(f"it has more than {_MAX_BYTES} bytes")
    return text


def _parsed(value: Any) -> Manifest:
    if not isinstance(value, dict):
        raise ValueError("it holds no JSON object")
    licence, fields = value.get("licence"), value.get("fields", {})
    if not (licence is None or isinstance(licence, str)):
        raise ValueError("`licence` is no text")
    if not isinstance(fields, dict) or not all(isinstance(v, str) for v in fields.values()):
        raise ValueError("`fields` maps names to names of fields")
    unknown = sorted(fields.keys() - set(MAPPED))
    if unknown:
        raise ValueError(f"`fields` maps {', '.join(unknown)}; there are {', '.join(MAPPED)}")
    return Manifest(normalise(licence) if licence else None, fields)

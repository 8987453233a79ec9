"""A table or folder of a bucket, which has no renames: data under names of their own, then one small record.

    <record>.json                              which version counts, its files, and what it was made from
    .versions/<record>/<version>/<file>        written once, never changed

A version counts from the moment when the record names it, and the record is written under the precondition that
nobody has written it meanwhile. So a writer that is killed leaves nothing that a reader sees, and of two writers the
second is refused. Versions never change: what reads one is not disturbed by the next.

Belongs here: commit, reading and clearing away. Does not belong here: what the files mean.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from upath import UPath

from cpp_pipeline.storage.gcs import in_parallel
from cpp_pipeline.storage.place import Refused, at

HIDDEN = ".versions"
STALE_SECONDS = 24 * 3600.0
"""Longer than any upload, and than any reader of a version needs that was replaced meanwhile."""


@dataclass(frozen=True)
class Version:
    """What a record says: a version, its files with their bytes, and facts about them."""

    name: str
    files: Mapping[str, int]
    facts: Mapping[str, Any]
    before: str = ""
    """The version that it replaced."""
    committed: float = 0.0
    """When, in seconds since 1970."""


class Versions:
    """All versions of one thing; `record` ends in `.json`."""

    def __init__(self, record: UPath) -> None:
        self.record = record
        self._base = record.parent / HIDDEN / record.name.removesuffix(".json")

    def current(self) -> Version | None:
        """The version that counts, or None.

        Raises
        ------
        ValueError
            The record is none of this project.
        """
        content = at(self.record).read()
        if content is None:
            return None
        try:
            return Version(**json.loads(content))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{self.record} is no record of this project ({error}): delete it, run again") from error

    def folder(self, version: Version) -> UPath:
        """Where a version's files lie."""
        return self._base / version.name

    def commit(self, files: Mapping[str, Path], facts: Mapping[str, Any], replaces: str | None = None) -> UPath:
        """Upload local files by their relative names, then make them the version that counts; returns their folder.

        Raises
        ------
        Refused
            The record changed since its token was `replaces`; nothing of this version stays.
        """
        seen = at(self.record).token() if replaces is None else replaces
        before = self.current()
        name = uuid.uuid4().hex
        sizes = in_parallel(lambda file: at(self._base / name / file[0]).upload(file[1]), files.items())
        version = Version(
            name, dict(zip(files, sizes, strict=True)), dict(facts), before.name if before else "", time.time()
        )
        try:
            at(self.record).write(json.dumps(vars(version), indent=1, sort_keys=True).encode(), seen)
        except Refused:
            at(self._base / name).delete()
            raise
        self.clear()
        return self.folder(version)

    def clear(self, stale_seconds: float = STALE_SECONDS) -> int:
        """Remove what killed writers left and versions that no longer count; returns how many.

        What is younger than `stale_seconds` stays: somebody may be uploading or reading it.
        """
        written: dict[str, float] = {}
        for path, seconds in at(self._base).files().items():
            name = path.partition("/")[0]
            written[name] = max(seconds, written.get(name, 0.0))
        now = time.time()
        old = [name for name, seconds in written.items() if now - seconds >= stale_seconds]
        if not old:
            return 0
        # read after the listing, so that a version which was committed meanwhile is known
        kept = self._kept(now, stale_seconds)
        gone = [name for name in old if name not in kept]
        for name in gone:
            at(self._base / name).delete()
        return len(gone)

    def delete(self) -> None:
        """Remove the record, and with it what it names."""
        at(self.record).delete()
        at(self._base).delete()

    def _kept(self, now: float, stale_seconds: float) -> set[str]:
        """The version that counts, and the one before it for as long as its readers may take."""
        current = self.current()
        if current is None:
            return set()
        return {current.name} | ({current.before} if now - current.committed < stale_seconds else set())

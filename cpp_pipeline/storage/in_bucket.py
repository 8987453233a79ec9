"""How a bucket keeps tables and folders: as `versions`, of which a record names the one that counts.

    tables/<asset>/<partition or all>.json          record; provenance is in it, and in the table's footer
    checkpoints|shards|reports/<asset>/commit.json  record; it holds the manifest, which is a file as well

Belongs here: the layout of a `gs://` root. That of a folder is `on_disk`; both have the same methods.
"""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl
from upath import UPath

from cpp_pipeline.storage.downloads import local_copy
from cpp_pipeline.storage.parquet import write_parquet
from cpp_pipeline.storage.place import at
from cpp_pipeline.storage.provenance import KINDS, Provenance, footer, stamp_manifest
from cpp_pipeline.storage.scratch import scratch_file
from cpp_pipeline.storage.versions import HIDDEN, STALE_SECONDS, Version, Versions


class InBucket:
    """Tables and folders below a root of a bucket."""

    def __init__(self, root: UPath) -> None:
        self.root = root

    def partitions(self, asset: str) -> list[str]:
        """Keys of the tables that are committed, sorted."""
        names = at(self.root / "tables" / asset).names()
        return [n.removesuffix(".json") for n in names if n.endswith(".json")]

    def table(self, asset: str, key: str) -> UPath:
        """Where the committed file lies; the record's own place before there is one."""
        versions, found = self._table(asset, key)
        return versions.folder(found) / f"{key}.parquet" if found else versions.record

    def local_table(self, asset: str, key: str) -> Path:
        """A table file, copied to this machine."""
        versions, found = self._table(asset, key)
        return _copy(versions, found) / f"{key}.parquet"

    def table_token(self, asset: str, key: str) -> str:
        """Changes whenever the table is committed."""
        return at(self._table_versions(asset, key).record).token()

    def table_provenance(self, asset: str, key: str) -> Provenance | None:
        """What a table was made from; None when there is none."""
        versions, found = self._table(asset, key)
        try:
            return Provenance(**found.facts) if found else None
        except TypeError as error:
            raise ValueError(f"{versions.record} is no record of a table ({error}): delete it, run again") from error

    def write_table(self, frame: pl.LazyFrame, key: str, provenance: Provenance, replaces: str | None) -> UPath:
        """Commit a table; see `Store.write_table`."""
        versions = self._table_versions(provenance.asset, key)
        seen = at(versions.record).token() if replaces is None else replaces
        partial = scratch_file()
        try:
            write_parquet(frame, partial, footer(provenance))
            folder = versions.commit({f"{key}.parquet": partial}, asdict(provenance), seen)
        finally:
            partial.unlink(missing_ok=True)
        return folder / f"{key}.parquet"

    def delete_table(self, asset: str, key: str) -> None:
        """Remove a table with all its versions, if it is there."""
        self._table_versions(asset, key).delete()

    def folder(self, kind: str, asset: str) -> UPath:
        """Where the committed folder lies; where its record would lie before there is one."""
        versions = self._folder_versions(kind, asset)
        found = versions.current()
        return versions.folder(found) if found else versions.record.parent

    def local_folder(self, kind: str, asset: str) -> Path:
        """A finished folder, copied to this machine."""
        versions = self._folder_versions(kind, asset)
        return _copy(versions, versions.current())

    def folder_token(self, kind: str, asset: str) -> str:
        """Changes whenever the folder is published."""
        return at(self._folder_versions(kind, asset).record).token()

    def manifest(self, kind: str, asset: str) -> dict[str, Any] | None:
        """The manifest of a finished folder, or None."""
        found = self._folder_versions(kind, asset).current()
        return dict(found.facts) if found else None

    def publish(self, kind: str, work: Path, provenance: Provenance, replaces: str | None) -> UPath:
        """Commit a finished work folder, which then is gone; see `Store.publish`."""
        manifest = stamp_manifest(work, provenance)
        files = {p.relative_to(work).as_posix(): p for p in work.rglob("*") if p.is_file()}
        folder = self._folder_versions(kind, provenance.asset).commit(files, manifest, replaces)
        shutil.rmtree(work)
        return folder

    def sweep(self, stale_seconds: float = STALE_SECONDS) -> int:
        """Remove what killed writers left behind long enough ago."""
        found = [Versions(record) for record in self._records()]
        return sum(versions.clear(stale_seconds) for versions in found)

    def _records(self) -> list[UPath]:
        """Records, committed or not, below which anything was ever uploaded."""
        tables = [self.root / "tables" / asset for asset in at(self.root / "tables").names()]
        folders = [self.root / kind / asset for kind in KINDS for asset in at(self.root / kind).names()]
        return [p / f"{stem}.json" for p in [*tables, *folders] for stem in at(p / HIDDEN).names()]

    def _table_versions(self, asset: str, key: str) -> Versions:
        return Versions(self.root / "tables" / asset / f"{key}.json")

    def _table(self, asset: str, key: str) -> tuple[Versions, Version | None]:
        versions = self._table_versions(asset, key)
        return versions, versions.current()

    def _folder_versions(self, kind: str, asset: str) -> Versions:
        return Versions(self.root / kind / asset / "commit.json")


def _copy(versions: Versions, found: Version | None) -> Path:
    if found is None:
        raise FileNotFoundError(f"{versions.record}: nothing is committed there")
    return local_copy(versions.folder(found), found.files)

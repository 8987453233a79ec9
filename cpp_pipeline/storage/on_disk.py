"""How a folder of this machine keeps tables and folders: whole by one rename.

    tables/<asset>/<partition or all>.parquet     provenance in the footer
    checkpoints|shards|reports/<asset>/           provenance in result.json

Belongs here: the layout of a local root. That of a bucket is `in_bucket`; both have the same methods.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
from pyarrow import ArrowException
from upath import UPath

from cpp_pipeline.storage.parquet import write_parquet
from cpp_pipeline.storage.place import LocalPlace, flush
from cpp_pipeline.storage.provenance import FOOTER_KEY, KINDS, RESULT, Provenance, footer, stamp_manifest


class OnDisk:
    """Tables and folders below a local root."""

    def __init__(self, root: UPath) -> None:
        self.root = root
        self._path = Path(str(root))

    def partitions(self, asset: str) -> list[str]:
        """Keys of the table files that exist, sorted."""
        names = LocalPlace(self._path / "tables" / asset).names()
        return [n.removesuffix(".parquet") for n in names if n.endswith(".parquet") and not n.startswith(".")]

    def table(self, asset: str, key: str) -> UPath:
        """Where a table file lies, or would lie."""
        return self.root / "tables" / asset / f"{key}.parquet"

    def local_table(self, asset: str, key: str) -> Path:
        """A table file on this machine."""
        return Path(str(self.table(asset, key)))

    def table_token(self, asset: str, key: str) -> str:
        """Changes whenever the table file is written."""
        return LocalPlace(self.local_table(asset, key)).token()

    def table_provenance(self, asset: str, key: str) -> Provenance | None:
        """What a table file was made from; None when there is none. Raises ValueError for a file that is no table."""
        path = self.local_table(asset, key)
        try:
            with path.open("rb") as file:
                metadata = pq.read_metadata(file).metadata or {}
            return Provenance(**json.loads(metadata[FOOTER_KEY.encode()]))
        except FileNotFoundError:
            return None
        except (ArrowException, KeyError, TypeError) as error:
            raise ValueError(f"{path} is no table of this project ({error}): delete it and run again") from error

    def write_table(self, frame: pl.LazyFrame, key: str, provenance: Provenance, replaces: str | None) -> UPath:
        """Write a table file; see `Store.write_table`."""
        target = LocalPlace(self.local_table(provenance.asset, key))
        with target.partial() as partial:
            write_parquet(frame, partial, footer(provenance))
            flush(partial)
            target.put_in_place(partial, replaces)
        return self.table(provenance.asset, key)

    def delete_table(self, asset: str, key: str) -> None:
        """Remove a table file, if it is there."""
        self.local_table(asset, key).unlink(missing_ok=True)

    def folder(self, kind: str, asset: str) -> UPath:
        """Where a finished folder lies, or would lie."""
        return self.root / kind / asset

    def local_folder(self, kind: str, asset: str) -> Path:
        """A finished folder on this machine."""
        return Path(str(self.folder(kind, asset))).absolute()

    def folder_token(self, kind: str, asset: str) -> str:
        """Changes whenever the folder is published."""
        return LocalPlace(self._path / kind / asset).token()

    def manifest(self, kind: str, asset: str) -> dict[str, Any] | None:
        """The manifest of a finished folder, or None."""
        content = LocalPlace(self._path / kind / asset / RESULT).read()
        return None if content is None else dict(json.loads(content))

    def publish(self, kind: str, work: Path, provenance: Provenance, replaces: str | None) -> UPath:
        """Move a finished work folder to its place; see `Store.publish`."""
        stamp_manifest(work, provenance)
        place = LocalPlace(self._path / kind / provenance.asset)
        place.path.parent.mkdir(parents=True, exist_ok=True)
        with place.held(replaces):
            old = place.path.with_name(f".{place.path.name}.{uuid.uuid4().hex}.old")
            if place.path.exists():
                os.replace(place.path, old)
            os.replace(work, place.path)
        shutil.rmtree(old, ignore_errors=True)
        return self.folder(kind, provenance.asset)

    def sweep(self) -> int:
        """Remove what killed writers left behind.

        A folder whose replacement did not arrive (`publish` was killed between its two renames) comes back.
        """
        for old in [p for k in KINDS for p in self._path.glob(f"{k}/.*.old")]:
            target = old.with_name(old.name.split(".")[1])
            if not target.exists():
                os.replace(old, target)
        left = [
            *self._path.glob("tables/*/.*.tmp"),
            *self._path.glob("dumps/.*.tmp"),
            *self._path.glob("checked/*/.*.tmp"),
            *(p for k in KINDS for p in self._path.glob(f"{k}/.*.old")),
        ]
        for path in left:
            LocalPlace(path).delete()
        return len(left)

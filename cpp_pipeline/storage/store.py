"""Where things lie under the storage root, and how they get there whole.

Belongs here: paths, atomic writes, footers. Does not belong here: what a table means
(`schemas/`) or when it has to be made again (`currency.py`).

    <root>/tables/<asset>/<partition or all>.parquet   one file, put in place by one rename
    <root>/checkpoints|shards|reports/<asset>/         a folder; `result.json` is written last
    <root>/work/<asset>-<digest>/                      unfinished folders, resumed by their owner
    <root>/jobs/<asset>-<digest>/                      the same of commands that run elsewhere
    <root>/checked/<asset>/<partition or all>.json     the data version that its checks let pass
    <root>/dumps/<name>.json, <root>/problems/*.jsonl  what the user registered
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
from pyarrow import ArrowException
from upath import UPath

from cpp_pipeline.schemas import TABLES
from cpp_pipeline.storage.parquet import write_parquet
from cpp_pipeline.storage.scratch import scratch_file, scratch_folder

FOOTER_KEY = "cpp_pipeline"
RESULT = "result.json"
KINDS = ("checkpoints", "shards", "reports")


@dataclass(frozen=True)
class Provenance:
    """What a table or folder was made from; kept inside it."""

    asset: str
    partition: str | None
    code_version: str
    config_digest: str
    inputs_digest: str
    data_version: str
    rows: int | None = None


class Store:
    """The storage root: a local folder, or `gs://bucket/prefix` through fsspec."""

    def __init__(self, root: str) -> None:
        self.root = UPath(root)
        self.is_local = "://" not in root or root.startswith("file://")

    def write_text(self, place: str, text: str) -> None:
        """Put a small file in place, whole or not at all."""
        target = self.root / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if not self.is_local:
            target.write_text(text)
            return
        partial = Path(str(target.parent)) / f".{target.name}.{uuid.uuid4().hex}.tmp"
        try:
            partial.write_text(text)
            os.replace(partial, str(target))
        finally:
            partial.unlink(missing_ok=True)

    # -- tables -------------------------------------------------------------

    def table_path(self, asset: str, partition: str | None = None) -> UPath:
        """Where one partition (or all) of a table lies."""
        return self.root / "tables" / asset / f"{partition or 'all'}.parquet"

    def partitions(self, asset: str) -> list[str]:
        """The partitions of a table that exist, sorted."""
        folder = self.root / "tables" / asset
        if not folder.exists():
            return []
        return sorted(p.name.removesuffix(".parquet") for p in folder.iterdir() if p.name.endswith(".parquet"))

    def scan(self, asset: str, partitions: Sequence[str] | None = None) -> pl.LazyFrame:
        """Scan one file (`partitions` None and not partitioned) or several as one frame."""
        table = TABLES[asset]
        if not table.partitioned:
            return pl.scan_parquet(str(self.table_path(asset)))
        keys = self.partitions(asset) if partitions is None else list(partitions)
        if not keys:
            return table.empty()
        return pl.scan_parquet([str(self.table_path(asset, k)) for k in keys])

    def write_table(self, frame: pl.LazyFrame, provenance: Provenance) -> UPath:
        """Write one table file with its provenance in the footer, then put it in place."""
        target = self.table_path(provenance.asset, provenance.partition)
        target.parent.mkdir(parents=True, exist_ok=True)
        footer = {FOOTER_KEY: json.dumps(asdict(provenance), sort_keys=True)}
        name = f".{target.name}.{uuid.uuid4().hex}.tmp"
        partial = Path(str(target.parent)) / name if self.is_local else scratch_file()
        try:
            write_parquet(frame, partial, footer)
            if self.is_local:
                _flush(partial)
                os.replace(partial, str(target))
            else:
                # One PUT of one object: a reader sees the old object or the new one.
                with partial.open("rb") as source, target.open("wb") as sink:
                    shutil.copyfileobj(source, sink)
        finally:
            partial.unlink(missing_ok=True)
        return target

    def whole_table(self, asset: str) -> UPath | None:
        """Where a table lies as one file; None for a partitioned one."""
        return None if TABLES[asset].partitioned else self.table_path(asset)

    def local_table(self, asset: str) -> Path:
        """A whole table as one local file, for commands that take a path."""
        if self.is_local and not TABLES[asset].partitioned:
            return Path(str(self.table_path(asset))).absolute()
        path = scratch_file()
        write_parquet(self.scan(asset), path)
        return path

    # -- folders ------------------------------------------------------------

    def folder(self, kind: str, asset: str) -> UPath:
        """Where a checkpoint, token shards or a report lie."""
        if kind not in KINDS:
            raise ValueError(f"kind {kind!r} is not one of {', '.join(KINDS)}")
        return self.root / kind / asset

    def work(self, asset: str, digest: str) -> Path:
        """The folder in which a command builds its result; the same inputs find it again."""
        base = self._work_base()
        base.mkdir(parents=True, exist_ok=True)
        for stale in base.glob(f"{asset}-*"):
            if stale.name != f"{asset}-{digest[:16]}":
                shutil.rmtree(stale, ignore_errors=True)
        self._end_jobs(asset, but=f"{asset}-{digest[:16]}")
        folder = base / f"{asset}-{digest[:16]}"
        folder.mkdir(exist_ok=True)
        return folder.absolute()

    def job_folder(self, output: Path) -> UPath:
        """Where a command that runs elsewhere keeps what becomes `output`, a folder in or below a work folder."""
        return self.root / "jobs" / output.relative_to(self._work_base().absolute()).as_posix()

    def _work_base(self) -> Path:
        return Path(str(self.root)) / "work" if self.is_local else scratch_folder()

    def _end_jobs(self, asset: str, but: str = "") -> None:
        folder = self.root / "jobs"
        for stale in [p for p in folder.iterdir() if p.name.startswith(f"{asset}-")] if folder.exists() else []:
            if stale.name != but:
                stale.fs.rm(stale.path, recursive=True)

    def end_work(self, asset: str) -> None:
        """Remove the work folders of an asset whose result lies in its place."""
        self._end_jobs(asset)
        if self.is_local:
            for folder in (Path(str(self.root)) / "work").glob(f"{asset}-*"):
                shutil.rmtree(folder)

    def publish(self, kind: str, work: Path, provenance: Provenance) -> UPath:
        """Put a finished work folder in place; readers look for its `result.json`."""
        manifest = json.loads((work / RESULT).read_text())
        manifest["provenance"] = asdict(provenance)
        replacement = work / f".{RESULT}.tmp"
        replacement.write_text(json.dumps(manifest, indent=1, sort_keys=True))
        os.replace(replacement, work / RESULT)
        target = self.folder(kind, provenance.asset)
        target.parent.mkdir(parents=True, exist_ok=True)
        if self.is_local:
            old = target.with_name(f".{target.name}.{uuid.uuid4().hex}.old")
            if target.exists():
                os.replace(str(target), str(old))
            os.replace(work, str(target))
            shutil.rmtree(str(old), ignore_errors=True)
            self._end_jobs(provenance.asset)
            return target
        (target / RESULT).unlink(missing_ok=True)
        for path in sorted(p for p in work.rglob("*") if p.is_file() and p.name != RESULT):
            _upload(path, target / path.relative_to(work).as_posix())
        _upload(work / RESULT, target / RESULT)
        shutil.rmtree(work)
        self._end_jobs(provenance.asset)
        return target

    def local_folder(self, kind: str, asset: str) -> Path:
        """A finished folder as local files, for commands that take a path."""
        folder = self.folder(kind, asset)
        if not (folder / RESULT).exists():
            raise FileNotFoundError(f"{folder} holds no {RESULT}: materialize {asset} first")
        if self.is_local:
            return Path(str(folder)).absolute()
        copy = scratch_folder() / asset
        shutil.rmtree(copy, ignore_errors=True)
        for path in folder.rglob("*"):
            if path.is_file():
                target = copy / str(path)[len(str(folder)) + 1 :]
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes())
        return copy

    def result(self, kind: str, asset: str) -> dict[str, Any] | None:
        """The manifest of a finished folder, or None."""
        path = self.folder(kind, asset) / RESULT
        return dict(json.loads(path.read_text())) if path.exists() else None

    # -- provenance ---------------------------------------------------------

    def provenance(self, asset: str, partition: str | None = None) -> Provenance | None:
        """What a table or folder was made from; None when it does not exist."""
        if asset in TABLES:
            path = self.table_path(asset, partition)
            if not path.exists():
                return None
            try:
                with path.open("rb") as file:
                    metadata = pq.read_metadata(file).metadata or {}
                return Provenance(**json.loads(metadata[FOOTER_KEY.encode()]))
            except (ArrowException, KeyError, TypeError) as error:
                raise ValueError(f"{path} is no table of this project ({error}): delete it and run again") from error
        for kind in KINDS:
            manifest = self.result(kind, asset)
            if manifest is not None:
                if "provenance" not in manifest:
                    place = self.folder(kind, asset)
                    raise ValueError(f"{place}/{RESULT} does not say what it was made from: delete {place}")
                return Provenance(**manifest["provenance"])
        return None

    def mark_checked(self, asset: str, partition: str | None, checks: Iterable[str]) -> None:
        """Write down that these checks of the data that lie there now do not block."""
        found = self.provenance(asset, partition)
        if found is not None:
            facts = {"data_version": found.data_version, "checks": sorted(checks)}
            self.write_text(f"checked/{asset}/{partition or 'all'}.json", json.dumps(facts))

    def is_checked(self, asset: str, partition: str | None, checks: Iterable[str]) -> bool:
        """True when all these checks let the data pass that lie there now.

        A run that was killed, or whose check failed, leaves data in place that nothing may be made from yet.
        """
        path = self.root / "checked" / asset / f"{partition or 'all'}.json"
        found = self.provenance(asset, partition)
        if found is None or not path.exists():
            return False
        facts = json.loads(path.read_text())
        return bool(facts["data_version"] == found.data_version and set(checks) <= set(facts["checks"]))

    def sweep(self) -> int:
        """Remove what killed writers left behind; call only while nothing else writes here.

        A folder whose replacement did not arrive (`publish` was killed between its two renames) comes back.
        """
        if not self.is_local:
            return 0
        root = Path(str(self.root))
        for old in [p for k in KINDS for p in root.glob(f"{k}/.*.old")]:
            target = old.with_name(old.name.split(".")[1])
            if not target.exists():
                os.replace(old, target)
        left = [
            *root.glob("tables/*/.*.tmp"),
            *root.glob("dumps/.*.tmp"),
            *root.glob("checked/*/.*.tmp"),
            *(p for k in KINDS for p in root.glob(f"{k}/.*.old")),
        ]
        for path in left:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        return len(left)


def _flush(path: Path) -> None:
    """Force the bytes to disk, so that the rename never shows an empty file after a crash."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _upload(source: Path, target: UPath) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as reader, target.open("wb") as writer:
        shutil.copyfileobj(reader, writer)

"""Where things lie under the storage root, and how they get there whole.

Belongs here: one face for a local root and one in a bucket. Does not belong here: how either keeps tables and folders
(`on_disk`, `in_bucket`), what a table means (`schemas/`) or when it has to be made again (`currency.py`).

    <root>/tables/, checkpoints/, shards/, reports/    tables and finished folders
    <root>/work/<asset>-<digest>/                      unfinished folders, resumed by their owner; of a bucket: scratch
    <root>/jobs/<asset>-<digest>/                      the same of commands that run elsewhere; see `Store.end_work`
    <root>/checked/<asset>/<partition or all>.<check>.json   whether a check lets a data version pass
    <root>/dumps/<name>.json, <root>/problems/*.jsonl  what the user registered
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from upath import UPath

from cpp_pipeline.dumps.remote import is_remote, local_path
from cpp_pipeline.schemas import TABLES
from cpp_pipeline.storage.downloads import release_copies
from cpp_pipeline.storage.in_bucket import InBucket
from cpp_pipeline.storage.on_disk import OnDisk
from cpp_pipeline.storage.parquet import write_parquet
from cpp_pipeline.storage.place import Place, at
from cpp_pipeline.storage.provenance import FOOTER_KEY, KINDS, RESULT, Provenance, of_manifest
from cpp_pipeline.storage.scratch import scratch_file, scratch_folder

__all__ = ["FOOTER_KEY", "KINDS", "RESULT", "Provenance", "Store"]
WHOLE = "all"
JOB_DAYS = 14
"""Longer than a Job may run, with what it may wait for before: while it runs, it writes every few seconds."""


class Store:
    """The storage root: a local folder, or `gs://bucket/prefix`.

    Raises
    ------
    ValueError
        The root is neither; names the setting.
    """

    is_written = True
    """Whether who holds it may write; who does not, waits for nobody (`lock`)."""

    def __init__(self, root: str) -> None:
        at(root)  # a root that cannot be is told at once
        self.is_local = not is_remote(root)
        self.root = UPath(local_path(root) if self.is_local else root)
        self._kept: OnDisk | InBucket = OnDisk(self.root) if self.is_local else InBucket(self.root)

    def place(self, name: str) -> Place:
        """A small file or folder of the user's, by its path below the root."""
        return at(self.root / name)

    def write_text(self, name: str, text: str) -> None:
        """Put a small file in place, whole or not at all."""
        self.place(name).write(text.encode())

    # -- tables -------------------------------------------------------------

    def table_path(self, asset: str, partition: str | None = None) -> UPath:
        """Where one partition (or all) of a table lies."""
        return self._kept.table(asset, partition or WHOLE)

    def partitions(self, asset: str) -> list[str]:
        """The partitions of a table that exist, sorted."""
        return self._kept.partitions(asset)

    def has_table(self, asset: str, partition: str | None = None) -> bool:
        """Whether one partition (or all) of a table is there."""
        return self._kept.table_token(asset, partition or WHOLE) != ""

    def table_token(self, asset: str, partition: str | None = None) -> str:
        """What changes whenever this table is written, empty when it is not there; for `write_table`."""
        return self._kept.table_token(asset, partition or WHOLE)

    def scan(self, asset: str, partitions: Sequence[str] | None = None) -> pl.LazyFrame:
        """Scan one file (`partitions` None and not partitioned) or several as one frame.

        What a bucket holds is copied to this machine first, so that the frame keeps what it was made from.
        """
        table = TABLES[asset]
        if not table.partitioned:
            return pl.scan_parquet(self._kept.local_table(asset, WHOLE))
        keys = self.partitions(asset) if partitions is None else list(partitions)
        return pl.scan_parquet([self._kept.local_table(asset, k) for k in keys]) if keys else table.empty()

    def write_table(self, frame: pl.LazyFrame, provenance: Provenance, replaces: str | None = None) -> UPath:
        """Do a frame's work and put it in place as a table, whole or not at all, with its provenance.

        Parameters
        ----------
        replaces
            What `table_token` said before the frame was made; None replaces whatever lies there.

        Raises
        ------
        Refused
            Another writer was first; what it wrote stays.
        """
        return self._kept.write_table(frame, provenance.partition or WHOLE, provenance, replaces)

    def delete_table(self, asset: str, partition: str) -> None:
        """Remove one partition of a table, if it is there."""
        self._kept.delete_table(asset, partition)

    def whole_table(self, asset: str) -> UPath | None:
        """Where a table lies as one file; None for a partitioned one."""
        return None if TABLES[asset].partitioned else self.table_path(asset)

    def local_table(self, asset: str) -> Path:
        """A whole table as one local file, for commands that take a path."""
        if not TABLES[asset].partitioned:
            return self._kept.local_table(asset, WHOLE).absolute()
        path = scratch_file()
        write_parquet(self.scan(asset), path)
        return path

    # -- folders ------------------------------------------------------------

    def folder(self, kind: str, asset: str) -> UPath:
        """Where a checkpoint, token shards or a report lie."""
        return self._kept.folder(_known(kind), asset)

    def folder_token(self, kind: str, asset: str) -> str:
        """What changes whenever this folder is published, empty when it is not there; for `publish`."""
        return self._kept.folder_token(_known(kind), asset)

    def local_folder(self, kind: str, asset: str) -> Path:
        """A finished folder as local files, for commands that take a path."""
        if self.result(kind, asset) is None:
            raise FileNotFoundError(f"{self.folder(kind, asset)} holds no {RESULT}: materialize {asset} first")
        return self._kept.local_folder(kind, asset)

    def result(self, kind: str, asset: str) -> dict[str, Any] | None:
        """The manifest of a finished folder, or None."""
        return self._kept.manifest(_known(kind), asset)

    def publish(self, kind: str, work: Path, provenance: Provenance, replaces: str | None = None) -> UPath:
        """Put a finished work folder in place, whole or not at all; `replaces` and errors as in `write_table`."""
        return self._kept.publish(_known(kind), work, provenance, replaces)

    # -- work ---------------------------------------------------------------

    def work(self, asset: str, digest: str) -> Path:
        """The folder in which a command builds its result; the same inputs find it again.

        What this machine has of other inputs goes. What they have in `jobs` stays: a Job may be at it.
        """
        base = self._work_base()
        base.mkdir(parents=True, exist_ok=True)
        name = _work_name(asset, digest)
        self._end_works(asset, but=name)
        (base / name).mkdir(exist_ok=True)
        return (base / name).absolute()

    def job_folder(self, output: Path) -> UPath:
        """Where a command that runs elsewhere keeps what becomes `output`, a folder in or below a work folder."""
        return self.root / "jobs" / output.relative_to(self._work_base().absolute()).as_posix()

    def end_work(self, asset: str, digest: str) -> None:
        """Give back what an asset's work took, once the result of these inputs lies in its place.

        Of other inputs, folders in `jobs` go that nobody has written to for `JOB_DAYS`: younger ones may be those of
        a Job that runs or waits, for another run, and its result is fetched from there.
        """
        own = _work_name(asset, digest)
        for name in self.place("jobs").names():
            if name == own or (name.startswith(f"{asset}-") and self._is_abandoned(name)):
                self.place(f"jobs/{name}").delete()
        self._end_works(asset)
        release_copies()

    def _work_base(self) -> Path:
        return Path(str(self.root)) / "work" if self.is_local else scratch_folder() / "work"

    def _end_works(self, asset: str, but: str = "") -> None:
        for stale in self._work_base().glob(f"{asset}-*"):
            if stale.name != but:
                shutil.rmtree(stale, ignore_errors=True)

    def _is_abandoned(self, job: str) -> bool:
        now = time.time()
        return now - max(self.place(f"jobs/{job}").files().values(), default=now) > JOB_DAYS * 24 * 3600

    # -- provenance ---------------------------------------------------------

    def provenance(self, asset: str, partition: str | None = None) -> Provenance | None:
        """What a table or folder was made from; None when it does not exist."""
        if asset in TABLES:
            return self._kept.table_provenance(asset, partition or WHOLE)
        for kind in KINDS:
            manifest = self.result(kind, asset)
            if manifest is not None:
                return of_manifest(manifest, self.root / kind / asset)
        return None

    def mark_check(self, asset: str, partition: str | None, check: str, data_version: str, passed: bool) -> None:
        """Write down whether a check lets data of this version pass."""
        facts = {"data_version": data_version, "passed": passed}
        self.write_text(_checked(asset, partition, check), json.dumps(facts))

    def is_checked(self, asset: str, partition: str | None, checks: Iterable[str]) -> bool:
        """True when all these checks let the data pass that lie there now.

        A run that was killed, or whose check failed, leaves data in place that nothing may be made from yet.
        """
        found = self.provenance(asset, partition)
        if found is None:
            return False
        passed = {"data_version": found.data_version, "passed": True}
        contents = (self.place(_checked(asset, partition, check)).read() for check in checks)
        return all(content is not None and json.loads(content) == passed for content in contents)

    def sweep(self) -> int:
        """Remove what killed writers left behind; call only while nothing else writes here."""
        return self._kept.sweep()


def _work_name(asset: str, digest: str) -> str:
    return f"{asset}-{digest[:16]}"


def _checked(asset: str, partition: str | None, check: str) -> str:
    return f"checked/{asset}/{partition or WHOLE}.{check}.json"


def _known(kind: str) -> str:
    if kind not in KINDS:
        raise ValueError(f"kind {kind!r} is not one of {', '.join(KINDS)}")
    return kind

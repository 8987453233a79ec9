"""Verdicts of earlier runs, on disk.

Belongs here: a bounded store of small values that several processes share and that may break without harm. Not here:
what is kept, under which key, and what a value means (`reuse`).

Nobody depends on this store: whatever is wrong with the file or the folder is logged once, counted, and answered as
if nothing had been kept. A value carries a checksum, so that a damaged one is never taken for a verdict.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import sqlite3
import stat
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from cpp_pipeline.settings import Settings

logger = logging.getLogger(__name__)
MOST_BYTES = 64 << 10
"""Larger values are not kept."""
_FILE = "verdicts-1.sqlite"  # another layout of the tables needs another name
_VERSIONS_KEPT = 4
_BUSY_SECONDS = 1.0
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_REMEDY = "everything is judged anew; set CPP_PIPELINE_VERDICT_CACHE to another folder, or to none"
_TABLES = """
CREATE TABLE IF NOT EXISTS verdicts (version TEXT, key TEXT, value BLOB, mark BLOB, used INTEGER);
CREATE UNIQUE INDEX IF NOT EXISTS by_key ON verdicts (version, key);
CREATE INDEX IF NOT EXISTS by_use ON verdicts (used);
CREATE TABLE IF NOT EXISTS versions (version TEXT PRIMARY KEY, opened INTEGER);
"""
_OPENED = """
INSERT INTO versions SELECT ?, COALESCE(MAX(opened), 0) + 1 FROM versions WHERE true
ON CONFLICT (version) DO UPDATE SET opened = excluded.opened
"""
_OLD = "DELETE FROM versions WHERE version NOT IN (SELECT version FROM versions ORDER BY opened DESC LIMIT ?)"
_ORPHANS = "DELETE FROM verdicts WHERE version NOT IN (SELECT version FROM versions)"
_PUT = """
INSERT INTO verdicts VALUES (?, ?, ?, ?, ?)
ON CONFLICT (version, key) DO UPDATE SET value = excluded.value, mark = excluded.mark, used = excluded.used
"""
_EVICT = """
DELETE FROM verdicts WHERE rowid IN
(SELECT rowid FROM verdicts ORDER BY used LIMIT max(0, (SELECT COUNT(*) FROM verdicts) - ?))
"""


def default_cache_folder(settings: Settings | None = None) -> Path | None:
    """Folder for verdicts that the settings name; None when they say that none are kept."""
    settings = Settings.from_env() if settings is None else settings
    if settings.verdict_cache == "none":
        return None
    if settings.verdict_cache:
        return Path(settings.verdict_cache).expanduser()
    try:
        base = Path(settings.xdg_cache_home) if settings.xdg_cache_home else Path.home() / ".cache"
    except RuntimeError:  # a user without a home
        return None
    return base / "cpp-pipeline" / "verdicts"


class VerdictCache:
    """Values by key, those used longest ago let go first; safe for several threads and processes. Never raises.

    Parameters
    ----------
    folder : Path, optional
        Made when missing. One that belongs to another user, or that others may write to, is refused. None keeps
        nothing.
    version : str
        What the values depend on besides their keys, such as a digest of the toolchain: other versions are not seen,
        and all but the four that were opened last are deleted.
    max_rows : int
        Most values of all versions together.
    rest_seconds : float
        How long the file is left alone after trouble with it.

    Attributes
    ----------
    counts : Counter
        `hits`, `misses`, `stored`, `failures` (of the file), `damaged` (values that were not what was stored).
    """

    def __init__(self, folder: Path | None, version: str, max_rows: int = 100_000, rest_seconds: float = 30.0) -> None:
        self._folder, self._version, self._max_rows, self._rest = folder, version, max_rows, rest_seconds
        self._path = folder / _FILE if folder is not None else Path()
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None
        self._inode: int | None = None
        self._resting_until = 0.0
        self._logged = False
        self.counts: Counter[str] = Counter()
        self._guarded(lambda _: None)

    @classmethod
    def open(cls, folder: Path | None, version: str) -> VerdictCache:
        """The store in `folder` with the usual bounds."""
        return cls(folder, version)

    def close(self) -> None:
        """Close the file; from now on nothing is found or kept."""
        with self._lock:
            self._drop()
            self._folder = None

    def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Values of those keys that are there; they count as used now."""
        found: dict[str, bytes] = {}

        def read(db: sqlite3.Connection) -> None:
            found.clear()
            damaged = 0
            for key in keys:
                row = db.execute("SELECT value, mark FROM verdicts WHERE version = ? AND key = ?", (self._version, key))
                for value, mark in row.fetchall():
                    if isinstance(value, bytes) and mark == self._mark(key, value):
                        found[key] = value
                    else:
                        damaged += 1
            self.counts["damaged"] += damaged
            if found:
                with _transaction(db):
                    uses = ((used, self._version, key) for used, key in enumerate(found, _next_use(db)))
                    db.executemany("UPDATE verdicts SET used = ? WHERE version = ? AND key = ?", uses)

        self._guarded(read)
        hits = sum(key in found for key in keys)
        self.counts["hits"] += hits
        self.counts["misses"] += len(keys) - hits
        return found

    def put_many(self, values: Mapping[str, bytes | str]) -> None:
        """Keep values, and let go of those used longest ago when there are too many."""
        raw = {k: v.encode("utf-8", "surrogatepass") if isinstance(v, str) else v for k, v in values.items()}
        fitting = {k: v for k, v in raw.items() if len(v) <= MOST_BYTES}

        def write(db: sqlite3.Connection) -> None:
            with _transaction(db):
                start = _next_use(db)
                rows = [
                    (self._version, k, v, self._mark(k, v), used) for used, (k, v) in enumerate(fitting.items(), start)
                ]
                db.executemany(_PUT, rows)
                db.execute(_EVICT, (self._max_rows,))
            self.counts["stored"] += len(rows)

        if fitting:
            self._guarded(write)

    def _mark(self, key: str, value: bytes) -> bytes:
        head = f"{self._version}\0{key}\0".encode("utf-8", "surrogatepass")
        return hashlib.blake2b(head + value, digest_size=8).digest()

    def _guarded(self, act: Callable[[sqlite3.Connection], None]) -> None:
        """Do something with the file; after a damaged one, a second time with a new one."""
        with self._lock:
            for first in (True, False):
                if self._folder is None or time.monotonic() < self._resting_until:
                    return
                try:
                    if self._db is None or _inode(self._path) != self._inode:
                        self._drop()
                        self._db = self._connect(self._folder)
                    return act(self._db)
                except (sqlite3.Error, OSError, OverflowError, UnicodeError) as error:
                    self._failed(error)
                    if not (first and self._renewed(error)):
                        self._resting_until = time.monotonic() + self._rest
                        return

    def _connect(self, folder: Path) -> sqlite3.Connection:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _require_private(folder)
        with _alone(folder):  # two that open a new file at once: the second is refused its log without any wait
            return self._opened()

    def _opened(self) -> sqlite3.Connection:
        self._inode = _inode(self._path)
        db = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            self._inode = _inode(self._path)
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            with _transaction(db):
                for statement in _TABLES.split(";"):
                    db.execute(statement)
                db.execute(_OPENED, (self._version,))
                db.execute(_OLD, (_VERSIONS_KEPT,))
                db.execute(_ORPHANS)
        except BaseException:
            db.close()
            raise
        return db

    def _failed(self, error: Exception) -> None:
        self.counts["failures"] += 1
        if not self._logged:
            self._logged = True
            logger.warning("the verdict cache in %s cannot be used: %s; %s", self._folder, error, _REMEDY)

    def _renewed(self, error: Exception) -> bool:
        """Close the file; True when it was damaged and has been moved away."""
        self._drop()
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code not in _DAMAGED and not isinstance(error, OverflowError):
            return False
        try:
            self._set_aside()
        except OSError as trouble:
            logger.warning("the damaged verdict cache %s cannot be moved away: %s", self._path, trouble)
            return False
        return True

    def _set_aside(self) -> None:
        with _alone(self._path.parent):
            if _inode(self._path) != self._inode:
                return  # another process was faster
            for suffix in ("-wal", "-shm", ""):  # in this order no new file ever meets the old one's log
                with suppress(FileNotFoundError):
                    os.replace(f"{self._path}{suffix}", f"{self._path}.damaged{suffix}")

    def _drop(self) -> None:
        if self._db is not None:
            with suppress(sqlite3.Error):
                self._db.close()
            self._db = None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """While this lasts, no other process is here; one that is stuck is an OSError after a while."""
    lock = os.open(folder, os.O_RDONLY)
    try:
        give_up = time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > give_up:
                    raise
                time.sleep(0.01)
        yield
    finally:
        os.close(lock)


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            db.execute("ROLLBACK")
        raise


def _next_use(db: sqlite3.Connection) -> int:
    """Number of the next use: a count, since clocks are set back."""
    return int(db.execute("SELECT CAST(COALESCE(MAX(used), 0) + 1 AS INTEGER) FROM verdicts").fetchone()[0])


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def _require_private(folder: Path) -> None:
    found = folder.lstat()
    if found.st_uid != os.geteuid() or not stat.S_ISDIR(found.st_mode) or found.st_mode & 0o022:
        raise PermissionError(f"{folder} is not a folder of this user alone; give it to this user and chmod go-w it")

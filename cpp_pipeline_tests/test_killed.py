"""The whole chain, killed again and again: nothing half is ever seen, nothing lives on, and the last run ends well."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cpp_pipeline.schemas import TABLES
from cpp_pipeline.storage.store import FOOTER_KEY, KINDS, RESULT, Store

pytestmark = pytest.mark.slow

KILLS = 5
SEED = 20
LIVES_SECONDS = (15.0, 75.0)
"""A run is killed at a moment drawn from this span; what it has made by then is kept, so each gets further."""
ORPHANS_SECONDS = 20.0
LAST_RUN_SECONDS = 1500.0
MARK = "CPP_PIPELINE_TEST_RUN"


def start(root: Path, mark: str, log: Path) -> subprocess.Popen[bytes]:
    """The smoke run in a process group of its own; all its descendants carry `mark` in their environment."""
    env = {**os.environ, "CPP_PIPELINE_REAL_CPP": "0", "COLUMNS": "200", MARK: mark}
    env.pop("DAGSTER_HOME", None)
    command = [sys.executable, "-m", "cpp_pipeline", "run", "--preset", "smoke", "--root", str(root)]
    with log.open("ab") as out:
        return subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=env, start_new_session=True)


def processes() -> Iterator[tuple[int, int, int]]:
    """(pid, parent, start time) of every process that is not a zombie."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if fields[0] not in "ZX":
                    yield int(entry.name), int(fields[1]), int(fields[19])


def descendants(pid: int) -> set[tuple[int, int]]:
    """(pid, start time) of a process and of everything below it, boxes of the sandbox included."""
    known = list(processes())
    below = {pid}
    while found := {p for p, parent, _ in known if parent in below} - below:
        below |= found
    return {(p, started) for p, _, started in known if p in below}


def survivors(before: set[tuple[int, int]], mark: str) -> dict[int, str]:
    """Command lines of what is left of a run: seen before it was killed, or started since with its mark."""
    left = {}
    for pid, _, started in processes():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            folder = Path("/proc", str(pid))
            marked = f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0")
            if marked or (pid, started) in before:
                left[pid] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return left


def wait_for_end(before: set[tuple[int, int]], mark: str) -> float:
    """Seconds until nothing of a killed run is left; fails with the command lines of what lives on."""
    killed = time.monotonic()
    while left := survivors(before, mark):
        assert time.monotonic() - killed < ORPHANS_SECONDS, left
        time.sleep(0.2)
    return time.monotonic() - killed


def assert_all_visible_is_whole(root: Path) -> tuple[int, int]:
    """Read every visible table and manifest; returns how many of each there are."""
    tables = [p for p in root.glob("tables/*/*") if not p.name.startswith(".")]
    for table in tables:
        file = pq.ParquetFile(table)
        assert FOOTER_KEY.encode() in (file.metadata.metadata or {}), table
        assert sum(batch.num_rows for batch in file.iter_batches()) == file.metadata.num_rows, table
    folders = [p for kind in KINDS for p in root.glob(f"{kind}/*") if not p.name.startswith(".")]
    for folder in folders:
        assert "provenance" in json.loads((folder / RESULT).read_text()), folder
    for registered in root.glob("dumps/*.json"):
        json.loads(registered.read_text())
    return len(tables), len(folders)


def test_a_run_killed_at_any_moment_leaves_only_whole_things_and_the_next_one_goes_on(tmp_path: Path) -> None:
    root, log = tmp_path / "root", tmp_path / "log"
    draw = random.Random(SEED)
    for number in range(KILLS):
        mark = uuid.uuid4().hex
        process = start(root, mark, log)
        lives_seconds = draw.uniform(*LIVES_SECONDS)
        # by turns the whole group, and the run alone, as the kernel does when memory is short
        end = os.killpg if number % 2 == 0 else os.kill
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(lives_seconds)
            ended = process.poll()
            before = descendants(process.pid)
        finally:
            with contextlib.suppress(ProcessLookupError):
                end(process.pid, signal.SIGKILL)
            process.wait()
        assert ended in (None, 0), log.read_text()[-4000:]
        orphans_seconds = wait_for_end(before, mark)
        tables, folders = assert_all_visible_is_whole(root)
        print(
            f"kill {number + 1} after {lives_seconds:.0f} s: {len(before)} processes gone after "
            f"{orphans_seconds:.1f} s, {tables} tables and {folders} folders are whole"
        )
    mark = uuid.uuid4().hex
    process = start(root, mark, log)
    started = time.monotonic()
    try:
        code = process.wait(LAST_RUN_SECONDS)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert code == 0, log.read_text()[-6000:]
    print(f"last run: {time.monotonic() - started:.0f} s")
    wait_for_end(set(), mark)
    assert "Traceback" not in log.read_text()
    assert_all_visible_is_whole(root)
    store = Store(str(root))
    for name, table in TABLES.items():
        assert store.partitions(name) == ["bundled"] if table.partitioned else store.provenance(name), name
    assert (root / "reports" / "model_report" / "index.html").exists()
    left = [*root.glob("work/*"), *root.glob("tables/*/.*"), *(p for k in KINDS for p in root.glob(f"{k}/.*"))]
    assert left == []

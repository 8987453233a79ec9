"""Hostile dumps through every reader: what started, what was read outside, what was refused without its reason.

The cases are those of the tests. Control: in the cases whose configuration names a program, git itself is run in the
dump, in which the planted program then starts.
"""

from __future__ import annotations

import resource
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.common.rows import Options, Row
from cpp_pipeline.dumps.history import read_commits
from cpp_pipeline.dumps.listing import list_dump
from cpp_pipeline.dumps.reading import read_files
from cpp_pipeline.dumps.repairs import read_repairs
from cpp_pipeline_tests.dumps.hostile_files import ARCHIVES, CASES
from cpp_pipeline_tests.dumps.hostile_git import CONFIGS, OBJECTS, SECRET, Case

_NAME = "data_hostile"
_GIT_COMMANDS = (["diff", "HEAD~1", "HEAD"], ["status"], ["log", "--raw", "-1"], ["checkout", "-f", "-q", "HEAD~1"])
_CONTROLS = 4
_PEAK_MIB = 1_536


def run(options: Options) -> list[Row]:
    """One row for all cases, one for the control, one for memory."""
    chosen = [*CASES][:: options.size(1, 8)]
    found = {name: _judged(*CASES[name], name in ARCHIVES or name in OBJECTS) for name in chosen}
    started = [name for name, (program, _, _) in found.items() if program]
    outside = [name for name, (_, read, _) in found.items() if read]
    untold = [name for name, (_, _, told) in found.items() if not told]
    control = [name for name in CONFIGS if _starts_by_git(CONFIGS[name])]
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return [
        Row(
            _NAME,
            f"hostile repositories, archives, tables and folders ({len(found)} cases)",
            f"{len(started)} programs started, {len(outside)} read outside, {len(untold)} without their reason",
            bar="0, 0, 0",
            ok=not (started or outside or untold),
            details=[*started, *outside, *untold],
        ),
        Row(
            _NAME,
            f"control: cases in which the planted program starts when git runs in the dump (of {len(CONFIGS)})",
            "",
            f"{len(control)}",
            bar=f">= {_CONTROLS}",
            ok=len(control) >= _CONTROLS,
            details=control,
        ),
        Row(
            _NAME,
            "largest process that read a hostile dump",
            f"{peak:,.0f} MiB",
            bar=f"<= {_PEAK_MIB:,} MiB",
            ok=peak <= _PEAK_MIB,
        ),
    ]


@contextmanager
def _planted(case: Case) -> Iterator[tuple[Path, Path, Path]]:
    with tempfile.TemporaryDirectory() as folder:
        dump, outside, scratch = (Path(folder) / name for name in ("dump", "outside", "scratch"))
        for made in (dump, outside, scratch):
            made.mkdir()
        case(dump, outside)
        yield dump, outside, scratch


def _judged(case: Case, reason: str, holds_secret: bool) -> tuple[bool, bool, bool]:
    """Whether a program started, whether something outside was read or written, and whether the reason was told.

    Archives and trees of objects carry the text of the outside themselves; for them only writing counts.
    """
    with _planted(case) as (dump, outside, scratch):
        before = sorted(outside.iterdir())
        frames = [list_dump(dump, "d", scratch)]
        for read in (read_files, read_commits, read_repairs):
            frames += read(dump, "d", scratch)
        rows = [frame.collect() for frame in frames]
        secret = SECRET.decode().strip()
        seen = any(secret in str(value) for frame in rows for row in frame.rows() for value in row)
        told = not reason or reason in set(rows[2]["reason"])
        written = sorted(p for p in outside.iterdir() if p.name != "started") != before
        return (outside / "started").exists(), written or (seen and not holds_secret), told


def _starts_by_git(case: Case) -> bool:
    """Whether everyday git commands in the dump start the planted program; git may well fail in it."""
    with _planted(case) as (dump, outside, _):
        for command in _GIT_COMMANDS:
            subprocess.run(["git", *command], cwd=dump / "r", capture_output=True, check=False, timeout=60)
        return (outside / "started").exists()

"""What is left of many hostile executions: processes, mounts, files, descriptors, control groups, memory.

Every program is distinct, so each is compiled and run. All are bounded by the caps of their job, in boxes.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.common import processes
from benchmarks.common.controller import Controller
from benchmarks.common.rows import Options, Row
from cpp_pipeline.sandbox.client import SandboxClient
from cpp_pipeline.sandbox.types import Caps, Job, Result

_NAME = "sandbox_leftovers"
_BECOME_SUBREAPER = 36
_IDLE_SECONDS = 1.0
_KEPT = ("cpp-pipeline-pch-", "cpp-pipeline-programs-")  # compiled, for the next start
_MEMORY_BAR_MIB = 8.0
_HEAD = "int solve(int a)"
_TESTS = [{"args": [n], "expected": n + 1} for n in range(3)]
_CAPS = Caps(call_seconds=0.1, memory_mb=64, output_kb=64, processes=24, file_mb=1)
_CALM = ("return a + 1;", "return a;", "std::vector<int> none; return none.at(a);", "return undeclared_name;")
_HOSTILE = {
    "fork_bomb": "for (;;) fork(); return 0;",
    "fork_bomb_and_return": "for (int i = 0; i < 200; ++i) if (fork() == 0) for (;;) pause(); return a + 1;",
    "orphan": "if (fork() == 0) { setsid(); if (fork() == 0) for (;;) pause(); _exit(0); } return a + 1;",
    "deaf_orphan": "if (fork() == 0) { setsid(); signal(SIGTERM, SIG_IGN); for (;;) pause(); } return a;",
    "memory_bomb": "for (;;) memset(new char[1 << 20], 1, 1 << 20); return 0;",
    "memory_of_many": "for (int i = 0; i < 4; ++i) fork(); std::string big(12 << 20, 'x'); sleep(1); return a + 1;",
    "endless_output": "for (;;) puts(std::string(1000, 'x').c_str()); return 0;",
    "endless_loop": "for (volatile int i = 0;; i = i + 1) {} return 0;",
    "files": 'for (int i = 0;; ++i) if (!fopen(("f" + std::to_string(i)).c_str(), "w")) return a + 1; return 0;',
}
_HEADERS = "".join(f"#include <{name}>\n" for name in ("csignal", "cstdio", "cstdlib", "cstring", "string", "unistd.h"))
_SHARE = 6  # one hostile program in so many


@dataclass(frozen=True)
class Traces:
    """What there is of a controller, counted."""

    processes: int
    mounts: int
    files: int
    descriptors: int
    groups: int


@dataclass(frozen=True)
class Outcome:
    """`before` the first job, `after` the last, and `stopped`: when the controller has ended; memory in MiB."""

    before: Traces
    after: Traces
    stopped: Traces
    early_mib: float
    late_mib: float
    verdicts: Counter[str]
    errors: list[str]


def jobs(first: int, count: int) -> list[Job]:
    """Distinct programs, one of them hostile among `_SHARE`."""
    names = list(_HOSTILE)
    found = []
    for at in range(first, first + count):
        name = names[at // _SHARE % len(names)] if at % _SHARE == 0 else ""
        body = _HOSTILE[name] if name else _CALM[at % len(_CALM)]
        code = f"{_HEADERS if name else ''}{_HEAD} {{ int salt = {at}; (void)salt; {body} }}"
        found.append(Job(f"{at}/{name or 'calm'}", code, _HEAD, _TESTS, timeout=0.5, caps=_CAPS))
    return found


def judged(batches: Sequence[int], workers: int) -> Outcome:
    """Judge batches of these sizes with one controller; memory is compared after the first and after the last."""
    # whatever escapes a box and its supervisor becomes a child of ours, and is counted
    if ctypes.CDLL(None, use_errno=True).prctl(_BECOME_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    folder = Path(tempfile.mkdtemp(prefix="cpp-pipeline-bench-"))
    folder.chmod(0o755)
    others = set(processes.descendants(os.getpid()))
    ours = Controller(workers, scratch=folder)
    try:
        _ = _batch(ours, -_SHARE * len(_HOSTILE), _SHARE * len(_HOSTILE))  # what is kept for later boxes is made here
        before, found, memory = _traces(ours.pid, folder, others), [], []
        for at, size in enumerate(batches):
            found += _batch(ours, sum(batches[:at]), size)
            memory.append(processes.resident_mib(ours.pid))
        after = _traces(ours.pid, folder, others)
    finally:
        ours.stop()
    stopped = _traces(0, folder, others, ours.pid)
    shutil.rmtree(folder)
    errors = [f"{result.id}: {result.error}" for result in found if result.error]
    return Outcome(before, after, stopped, memory[0], memory[-1], _counted(found), errors)


def _batch(ours: Controller, first: int, count: int) -> list[Result]:
    with SandboxClient(ours.url) as client:
        return client.batch_verify(jobs(first, count))


def _counted(results: Sequence[Result]) -> Counter[str]:
    return Counter(f"{result.id.partition('/')[2]} {result.verdict}" for result in results)


def _traces(pid: int, folder: Path, others: set[int], owner: int = 0) -> Traces:
    """`pid` 0 means that the controller, which was `owner`, has ended."""
    time.sleep(_IDLE_SECONDS)
    return Traces(
        len(set(processes.descendants(os.getpid())) - others),
        processes.mounts(pid or "self"),
        sum(1 for path in folder.rglob("*") if not any(kept in str(path) for kept in _KEPT)),
        processes.open_files(pid) if pid else 0,
        sum(f"-{pid or owner}-" in path.name for path in Path("/sys/fs/cgroup").rglob("cpp-pipeline-*")),
    )


def run(options: Options) -> list[Row]:
    """Rows for what is left while the controller lives, after it, and for its memory."""
    batches = options.size([200] * 5, [40, 40])
    found = judged(batches, options.workers)
    before, after = asdict(found.before), asdict(found.after)
    counts = [f"{name} {before[name]} -> {after[name]}" for name in before]
    grown = found.late_mib - found.early_mib
    total = sum(batches)
    verdicts = ", ".join(f"{count} {name}" for name, count in sorted(found.verdicts.items()))
    left = found.stopped.processes + found.stopped.files + found.stopped.groups
    return [
        Row(
            _NAME,
            f"left of {total} executions: processes, mounts, files, descriptors, control groups",
            "nothing" if found.after == found.before else "; ".join(counts),
            bar="nothing",
            ok=found.after == found.before,
            notes=f"{verdicts}; counts before and after: {'; '.join(counts)}",
        ),
        Row(
            _NAME,
            "processes, files and control groups left when the controller has stopped",
            str(left),
            bar="0",
            ok=left == 0,
            notes="but for the precompiled headers, which the next start uses",
        ),
        Row(
            _NAME,
            f"memory of the controller after {batches[0]} and after {total} executions",
            f"{found.early_mib:.1f} -> {found.late_mib:.1f} MiB",
            bar=f"flat: at most {_MEMORY_BAR_MIB:g} MiB more",
            ok=grown <= _MEMORY_BAR_MIB,
        ),
        Row(
            _NAME,
            "of these, results with an error in place of a verdict",
            str(len(found.errors)),
            notes="; ".join(found.errors[:5]),
        ),
    ]

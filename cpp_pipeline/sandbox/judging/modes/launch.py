"""What the modes share: compiling a whole program, and running it once in a box.

Belongs here: the box of a program, and how its end is read. Not here: what it was to print (`stdio`), or to assert
(`in_process`).
"""

from __future__ import annotations

import contextlib
import math
import re
import shutil
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cpp_pipeline.sandbox.compiling.toolchain import Compiled
from cpp_pipeline.sandbox.isolation import Box, BoxResult, IsolationError, Limits
from cpp_pipeline.sandbox.judging import instructions, sanitizer
from cpp_pipeline.sandbox.judging.cases import Case, Outcome, Tools

TEXT_KEPT = 4096
"""Bytes of a program's output, and of messages, that a result holds."""
# the processor's clock ends a program; the clock on the wall only one that stands still
_WALL_FACTOR, _WALL_ROOM = 4, 2.0
_NOT_STARTED = 126
_USED = re.compile(rb"\x1e(\d+) (\d+)\n")
_BAD_ALLOC = b"terminate called after throwing an instance of 'std::bad_alloc'"
_BY_CODE = {128 + signal.SIGPROF: "TLE", 128 + signal.SIGXCPU: "TLE", 128 + signal.SIGXFSZ: "OLE"}


@dataclass(frozen=True)
class Run:
    """One run of a program. `verdict` is empty when it ended by itself with exit code 0 and within its limits."""

    verdict: str
    exit_code: int
    stdout: bytes
    stderr: str
    cpu_seconds: float
    memory_kb: int


def stretched(case: Case, seconds: float, counted: bool) -> float:
    """CPU seconds for what a plain program may do in `seconds`, by the tier that slows it down."""
    if counted:
        return instructions.SLOWDOWN * seconds + instructions.START_SECONDS
    return sanitizer.SLOWDOWN * seconds + sanitizer.REPORT_SECONDS if case.job.sanitize else seconds


def wall_seconds(cpu_seconds: float) -> float:
    """When a program is ended that has not used its CPU time: it sleeps, or waits for what does not come."""
    return _WALL_FACTOR * cpu_seconds + _WALL_ROOM


def box(case: Case, program: Path, command: Sequence[str], limits: Limits, counted: str | None = None) -> Box:
    """The box of a compiled program, by the job's caps and tiers; `counted` names functions to count in."""
    caps = case.job.caps
    limits = replace(
        limits,
        memory_bytes=caps.memory_mb << 20,
        processes=caps.processes,
        file_bytes=caps.file_mb << 20,
    )
    environment: Mapping[str, str] = {}
    if case.job.sanitize:
        limits, environment = sanitizer.limits(limits, caps), sanitizer.environment(caps)
    if counted is not None:
        limits, command = instructions.limits(limits, caps), instructions.command(command, counted)
    proc = case.job.sanitize or counted is not None
    return Box(command, limits, readonly=[(str(program), "/box/program")], proc=proc, environment=environment)


def run_once(
    case: Case, tools: Tools, program: Path, stdin: bytes = b"", output_bytes: int = 0, counted: bool = False
) -> Run:
    """Run a program once over `stdin`.

    Its CPU time is bounded to the microsecond by a timer that stays with it, and to the second by the kernel where a
    program ignores that. Time of children for which it did not wait is bounded, but not in `cpu_seconds`.

    Raises
    ------
    IsolationError
        The box or the program in it could not be started.
    """
    seconds = stretched(case, case.call_seconds, counted)
    output = max(output_bytes, case.job.caps.output_kb << 10)
    limits = Limits(wall_seconds(seconds), math.ceil(seconds) + 1, output_bytes=output)
    made = box(case, program, ["/box/program"], limits, "" if counted else None)
    timed = [(str(tools.toolchain.tool("timed")), "/box/timed")]
    command = ["/box/timed", f"{seconds:.6f}", *made.argv]
    result = tools.boxes.run(replace(made, argv=command, stdin=stdin, readonly=[*made.readonly, *timed]))
    run = _read(result, seconds)
    count_run(case, tools, run.cpu_seconds, run.verdict)
    return run


def count_run(case: Case, tools: Tools, cpu_seconds: float, cause: str) -> None:
    """Put one run into the metrics; `cause` is the verdict of one that was ended by a limit."""
    tools.metrics.add("sandbox_run_cpu_seconds_total", cpu_seconds, mode=case.mode)
    tools.metrics.observe("sandbox_run_seconds", cpu_seconds, harness=case.mode)
    if cause in ("TLE", "MLE", "OLE"):
        tools.metrics.add("sandbox_kills_total", reason=cause)


def _read(result: BoxResult, seconds: float) -> Run:
    found = list(_USED.finditer(result.stderr))
    if not found and result.exit_code == _NOT_STARTED and not _ended_early(result):
        raise IsolationError("a program could not be started in its box")
    used = found[-1] if found else None
    cpu = int(used[1]) / 1e6 if used else result.wall_seconds
    stderr = result.stderr[: used.start()] if used else result.stderr
    text = stderr.decode("utf-8", "replace")
    verdict = _verdict(result, stderr, text, cpu >= seconds)
    return Run(verdict, result.exit_code, result.stdout, text, cpu, int(used[2]) if used else 0)


def _ended_early(result: BoxResult) -> bool:
    return result.timed_out or result.flooded or result.out_of_memory


def _verdict(result: BoxResult, stderr: bytes, text: str, late: bool) -> str:
    """Why a program did not end well.

    MLE is the kernel's word where the box has a cgroup. Without one, a program meets the limit of its address space:
    then MLE is what an uncaught std::bad_alloc, or the sanitizer, says on stderr, and a null pointer from malloc ends
    in an RE like any other null pointer.
    """
    if result.out_of_memory:
        return "MLE"
    if result.flooded or result.timed_out:
        return "OLE" if result.flooded else "TLE"
    if result.exit_code == 0:
        return ""
    if result.exit_code == 128 + signal.SIGKILL and late:
        return "TLE"
    if result.exit_code == 128 + signal.SIGABRT and _BAD_ALLOC in stderr:
        return "MLE"
    if sanitizer.out_of_memory(text):
        return "MLE"
    return _BY_CODE.get(result.exit_code, "RE")


@contextlib.contextmanager
def compiled(case: Case, tools: Tools, text: str, objects: Sequence[str] = ()) -> Iterator[tuple[Compiled, Path]]:
    """A unit's compilation, and where its program is until the block ends."""
    folder = tools.toolchain.open_folder()
    try:
        done = tools.toolchain.compile(text, case.build, folder, objects=objects, caps=case.job.caps)
        tools.metrics.add("sandbox_compiles_total", mode=case.mode)
        tools.metrics.add("sandbox_compile_cpu_seconds_total", done.cpu_seconds, mode=case.mode)
        tools.metrics.add("sandbox_pch_hits_total" if done.pch_hit else "sandbox_pch_misses_total")
        pch = "hit" if done.pch_hit else "miss"
        tools.metrics.observe("sandbox_compile_seconds", done.cpu_seconds, tier=done.tier, pch=pch)
        yield done, folder / "program"
    finally:
        shutil.rmtree(folder)


def described(outcome: Outcome, done: Compiled, run: Mapping[str, Any]) -> Outcome:
    """The outcome with what its compilation and its runs were."""
    about = {"cpu_ms": round(1000 * done.cpu_seconds, 3), "pch_hit": done.pch_hit, "pch_tier": done.tier}
    return replace(outcome, compile={**about, **outcome.compile}, run=dict(run))

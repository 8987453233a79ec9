"""Running a compiled unit in a box and reading what it reports.

Belongs here: the plan sent to the runner and its records, and the pair of boxes in which tests call a candidate.
Nothing that arrives from a candidate is believed beyond its shape: a record holds at most a value, and whether a
value is right is decided by `verdicts`, or by the program of the tests in a box of its own.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

from cpp_pipeline.sandbox.isolation import Backend, Box, BoxResult, Limits

MAGIC, TESTS_MAGIC = b"RPC1", b"TST1"
STATUS = {1: "RE", 2: "RE", 3: "TLE", 4: "MLE", 5: "OLE", 6: "TLE", 8: "WA", 9: "RE"}
VALUE, MEMORY, BROKEN, WRONG, KILLED, SUMMARY = 0, 4, 7, 8, 9, 0xFFFFFFFF
_END_DONE, _END_CALL_FAILED, _END_LATE, _END_LOST = 0, 1, 3, 4
_SITE = struct.Struct("<7I")
_TESTS_OUTPUT = 64 << 20
_HEAD = struct.Struct("<8I")
_LOG_KEPT = 1 << 18
_STRICT_PATIENCE = 4  # as in native/runner.cpp


@dataclass(frozen=True)
class Record:
    """What one call left: a status of the runner, the value frame, and its output."""

    status: int
    detail: int
    value: bytes
    stdout: bytes
    stderr: bytes
    cpu_seconds: float


@dataclass(frozen=True)
class Ran:
    """Records by (entry, test). `complete` says that the runner came to its end; `cause` why not."""

    records: dict[tuple[int, int], Record] = field(default_factory=dict)
    complete: bool = False
    cause: str = ""
    cpu_seconds: float = 0.0
    stderr: str = ""
    malformed: bool = False


@dataclass(frozen=True)
class Plan:
    """Arguments for every entry; `sets[set_of_entry[i]]` are the encoded calls of entry i, none where `live`."""

    sets: Sequence[Sequence[bytes]]
    set_of_entry: Sequence[int]
    call_seconds: float
    entry_seconds: float
    strict: bool
    text_bytes: int = 1 << 18
    live: bool = False

    def encode(self) -> bytes:
        """The bytes that `native/runner.cpp` reads from its stdin."""
        head = (self.strict, self.live, self.text_bytes, self.call_seconds, self.entry_seconds, len(self.sets))
        out = bytearray(struct.pack("<IIIddI", *head))
        for calls in self.sets:
            out += struct.pack("<I", len(calls))
            for data in calls:
                out += struct.pack("<I", len(data)) + data
        for number in () if self.live else self.set_of_entry:
            out += struct.pack("<I", number)
        return struct.pack("<I", len(out)) + bytes(out)

    @property
    def call_wall_seconds(self) -> float:
        """When the runner ends a call, whatever it has used."""
        return self._patience * (3 * self.call_seconds + 1)

    @property
    def entry_wall_seconds(self) -> float:
        """When all calls of an entry have to be over, on a machine that is not overloaded."""
        return self._patience * (2 * (3 * self.call_seconds + 1) + 3 * self.entry_seconds)

    def wall_seconds(self) -> float:
        """Deadline of the box; generous, since time on the wall says little on a busy machine."""
        return min(900.0, 5 + len(self.set_of_entry) * self.entry_wall_seconds)

    @property
    def _patience(self) -> int:
        return _STRICT_PATIENCE if self.strict else 1


@dataclass(frozen=True)
class Program:
    """A compiled unit and how its box is made: `command` runs /box/program, `limits` bound it."""

    path: Path
    limits: Limits
    command: Sequence[str] = ("/box/program",)
    environment: Mapping[str, str] = field(default_factory=dict)
    proc: bool = False

    def box(self, stdin: bytes | int, wall_seconds: float, stdout: int | None = None) -> Box:
        """The box with the program's input, and its output where that is a pipe."""
        limits = replace(self.limits, wall_seconds=wall_seconds)
        readonly = [(str(self.path), "/box/program")]
        return Box(self.command, limits, stdin, readonly, (), self.proc, stdout, self.environment)


def run_program(boxes: Backend, program: Program, plan: Plan) -> Ran:
    """Run one unit over all its tests; raises IsolationError when no box starts."""
    result = boxes.run(program.box(plan.encode(), plan.wall_seconds()))
    ran = parse_records(result.stdout, [len(plan.sets[s]) for s in plan.set_of_entry])
    ran = replace(ran, cause="" if ran.complete else _cause(result), stderr=_text(result.stderr))
    return _with_memory(ran, result)


def run_tests(boxes: Backend, program: Program, tests: Path, plan: Plan, straight: Sequence[bool]) -> Ran:
    """Let the program of the tests call one unit; a record's `detail` is 1 where the assert was true.

    The two boxes share nothing but two pipes. What the unit writes into them is decoded there by bounded readers.
    """
    with ThreadPoolExecutor(1) as thread, ExitStack() as stack:
        requests, to_runner = _pipe(stack)
        replies, to_tests = _pipe(stack)
        os.write(to_runner.fileno(), plan.encode())
        running = thread.submit(_run_and_close, boxes, program, plan, requests, to_tests)
        wall = plan.wall_seconds()
        argv = ["/box/tests", str(len(plan.set_of_entry)), f"{plan.call_wall_seconds + 1:.3f}"]
        argv.append(f"{plan.entry_wall_seconds + 1:.3f}")
        limits = Limits(wall + 5, cpu_seconds=120, output_bytes=_TESTS_OUTPUT)
        readonly = [(str(tests), "/box/tests")]
        box = Box(argv, limits, replies.fileno(), readonly, stdout=to_runner.fileno(), trusted=True)
        try:
            result = boxes.run(box)
        finally:
            # the runner ends when nobody can ask it any more
            to_runner.close()
            replies.close()
            runner = running.result()
    ran = parse_sites(result.stderr, len(plan.set_of_entry), straight)
    # the tests' own program waits in vain for a runner that is late, and is gone when that is
    cause = "" if ran.complete else ran.cause or _cause(runner)
    return _with_memory(replace(ran, cause=cause, stderr=_text(runner.stderr)), runner)


def _with_memory(ran: Ran, result: BoxResult) -> Ran:
    """Calls that the kernel ended for want of memory of their box, told apart from calls that were killed."""
    if not result.out_of_memory:
        return ran
    records = {k: replace(r, status=MEMORY) if r.status == KILLED else r for k, r in ran.records.items()}
    return replace(ran, records=records)


def _pipe(stack: ExitStack) -> tuple[IO[bytes], IO[bytes]]:
    read, write = os.pipe()
    return stack.enter_context(open(read, "rb", 0)), stack.enter_context(open(write, "wb", 0))


def _run_and_close(boxes: Backend, program: Program, plan: Plan, stdin: IO[bytes], stdout: IO[bytes]) -> BoxResult:
    with stdin, stdout:  # while this process holds them, the tests cannot see that the runner has ended
        return boxes.run(program.box(stdin.fileno(), plan.wall_seconds(), stdout.fileno()))


def _cause(result: BoxResult) -> str:
    """Verdict of tests without a record."""
    if result.out_of_memory:
        return "MLE"
    return "TLE" if result.timed_out else "OLE" if result.flooded else "RE"


def _text(data: bytes) -> str:
    return data[:_LOG_KEPT].decode("utf-8", "replace")


def parse_sites(data: bytes, entries: int, straight: Sequence[bool]) -> Ran:
    """Read what `native/harness.cpp` reports; `cause` is set where an entry ended early.

    Where the tests did not come to their end, only the asserts that are `straight` count as they stand: any other
    might have run once more, and failed.

    Raises
    ------
    ValueError
        The report is not one of ours: a fault of the program, never of a candidate.
    """
    if data[: len(TESTS_MAGIC)] != TESTS_MAGIC:
        return Ran(malformed=bool(data))
    records: dict[tuple[int, int], Record] = {}
    at, sites = len(TESTS_MAGIC), len(straight)
    ended, late, cpu = 0, False, 0.0
    for entry in range(entries):
        found: dict[int, Record] = {}
        for site in range(sites + 1):
            if at + _SITE.size > len(data):
                return Ran(records, cause="TLE" if late else "", cpu_seconds=cpu)
            number, where, *rest = _SITE.unpack_from(data, at)
            at += _SITE.size
            if number != entry or where != (site if site < sites else SUMMARY):
                raise ValueError(f"record {number}/{where} of the tests in place of {entry}/{site}")
            if site == sites:
                break
            ran, status, passed, size, micros = rest
            cpu += micros / 1e6
            if ran or status:
                found[site] = Record(status, passed, data[at : at + size], b"", b"", micros / 1e6)
            at += size
        end, status, n_out, n_err, _ = rest
        out, err = data[at : at + n_out], data[at + n_out : at + n_out + n_err]
        at += n_out + n_err
        late = end == _END_LATE
        if end != _END_DONE:
            found = {s: r for s, r in found.items() if straight[s] or not r.detail}
        if end in (_END_LATE, _END_LOST):
            records |= {(entry, s): r for s, r in found.items()}
            break
        ended += 1
        # an assert that was not reached: by a call that failed outside of one, or by a wrong value
        missing = Record(status if end == _END_CALL_FAILED else WRONG, 0, b"", b"", b"", 0.0)
        for site in range(sites):
            records[entry, site] = found.get(site, missing)
        if sites:
            records[entry, 0] = replace(records[entry, 0], stdout=out, stderr=err)
    return Ran(records, ended == entries, "TLE" if late else "", cpu)


def parse_records(data: bytes, tests: Sequence[int]) -> Ran:
    """Read records until the end or the first that is out of place; the first of a test counts."""
    records: dict[tuple[int, int], Record] = {}
    if data[: len(MAGIC)] != MAGIC:
        return Ran(records, malformed=bool(data))
    at = len(MAGIC)
    while at + _HEAD.size <= len(data):
        entry, test, status, detail, n_value, n_out, n_err, micros = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        if entry == SUMMARY:
            complete = len(records) == sum(tests)
            return Ran(records, complete, cpu_seconds=micros / 1e6, malformed=at != len(data))
        end = at + n_value + n_out + n_err
        if entry >= len(tests) or test >= tests[entry] or status > KILLED or end > len(data):
            return Ran(records, malformed=True)
        value, out = data[at : at + n_value], data[at + n_value : at + n_value + n_out]
        err = data[at + n_value + n_out : end]
        records.setdefault((entry, test), Record(status, detail, value, out, err, micros / 1e6))
        at = end
    return Ran(records, malformed=at != len(data))

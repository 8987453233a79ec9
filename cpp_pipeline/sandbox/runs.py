"""Running a compiled unit in a box and reading what it reports.

Belongs here: the plan sent to the runner and its records. Nothing that arrives is believed beyond its shape:
a record holds at most a value, and whether a value is right is decided by `judge`.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cpp_pipeline.sandbox.isolation import Box, Bubblewrap, Limits

MAGIC = b"RPC1"
STATUS = {1: "RE", 2: "RE", 3: "TLE", 4: "MLE", 5: "OLE", 6: "TLE"}
VALUE, BROKEN, SUMMARY = 0, 7, 0xFFFFFFFF
_HEAD = struct.Struct("<8I")
_TEXT_KEPT = 4096
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
    """Arguments for every entry; `sets[set_of_entry[i]]` are the encoded calls of entry i."""

    sets: Sequence[Sequence[bytes]]
    set_of_entry: Sequence[int]
    call_seconds: float
    entry_seconds: float
    strict: bool

    def encode(self) -> bytes:
        """The bytes that `native/runner.cpp` reads from its stdin."""
        out = bytearray(struct.pack("<IddI", self.strict, self.call_seconds, self.entry_seconds, len(self.sets)))
        for calls in self.sets:
            out += struct.pack("<I", len(calls))
            for data in calls:
                out += struct.pack("<I", len(data)) + data
        for number in self.set_of_entry:
            out += struct.pack("<I", number)
        return bytes(out)

    def wall_seconds(self) -> float:
        """Deadline of the box; generous, since time on the wall says little on a busy machine."""
        patience = _STRICT_PATIENCE if self.strict else 1
        return 5 + patience * len(self.set_of_entry) * (2 * (3 * self.call_seconds + 1) + 3 * self.entry_seconds)


def run_program(boxes: Bubblewrap, program: Path, plan: Plan) -> Ran:
    """Run one unit over all its tests; raises IsolationError when no box starts."""
    limits = Limits(
        wall_seconds=min(900.0, plan.wall_seconds()),
        cpu_seconds=120,
        output_bytes=16 << 20,
        file_bytes=4 << 20,
    )
    box = Box(["/box/program"], limits, plan.encode(), [(str(program), "/box/program")])
    result = boxes.run(box)
    ran = parse_records(result.stdout, [len(plan.sets[s]) for s in plan.set_of_entry])
    cause = "TLE" if result.timed_out else "OLE" if result.flooded else "RE"
    stderr = result.stderr[:_TEXT_KEPT].decode("utf-8", "replace")
    return Ran(ran.records, ran.complete, "" if ran.complete else cause, ran.cpu_seconds, stderr, ran.malformed)


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
        if entry >= len(tests) or test >= tests[entry] or status > BROKEN or end > len(data):
            return Ran(records, malformed=True)
        value, out = data[at : at + n_value], data[at + n_value : at + n_value + n_out]
        err = data[at + n_value + n_out : end]
        records.setdefault((entry, test), Record(status, detail, value, out, err, micros / 1e6))
        at = end
    return Ran(records, malformed=at != len(data))

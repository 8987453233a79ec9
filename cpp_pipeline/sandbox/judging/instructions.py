"""Counting instructions under callgrind: the same number at each run, whatever else the machine does.

Belongs here: the command and the reading of its log. Not here: whose instructions are worth counting (`workbench`,
`modes`). A candidate can forge its own count (it shares a process with what is counted), never a verdict.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import replace

from cpp_pipeline.sandbox.isolation import Limits
from cpp_pipeline.sandbox.types import Caps

SLOWDOWN = 100
"""Times that a program may be slower under callgrind, its start not counted."""
START_SECONDS = 2.0
"""CPU seconds that callgrind itself may take to start."""
CALLS = "judge_call_*"
"""The functions of the glue that call a candidate, for `command`."""
MISSING = "valgrind is not installed; on Debian: apt-get install valgrind"
NOT_ENDED = "the program does not come to its end under callgrind (a sanitized one never does)"
_VALGRIND = "valgrind"
_MEMORY_FACTOR, _ROOM = 3, 256 << 20
_BEGIN = re.compile(r"^==(\d+)== Callgrind,", re.MULTILINE)
_COLLECTED = re.compile(r"^==(\d+)== Collected : (\d+)$", re.MULTILINE)
# valgrind moves its log out of the program's reach, but not the descriptor that it was given: that one is not stderr
_SCRIPT = 'exec 9>&2; exec "$@"'
_OPTIONS = ("--tool=callgrind", "--callgrind-out-file=/dev/null", "--log-fd=9", "--vgdb=no")


def missing() -> str:
    """Why nothing can be counted on this machine, with the remedy; empty where it can."""
    return "" if shutil.which(_VALGRIND) else MISSING


def command(program: Sequence[str], inside: str = CALLS) -> list[str]:
    """The command that runs `program` and counts what it and its children execute in functions of that name.

    An empty name counts everything. The box needs /proc, and `limits`.
    """
    toggle = (f"--toggle-collect={inside}",) if inside else ()
    return ["/bin/sh", "-c", _SCRIPT, "sh", shutil.which(_VALGRIND) or _VALGRIND, *_OPTIONS, *toggle, *program]


def limits(plain: Limits, caps: Caps) -> Limits:
    """Limits for a program under callgrind, which needs address space and memory of its own."""
    return replace(plain, memory_bytes=_MEMORY_FACTOR * (caps.memory_mb << 20) + _ROOM, address_space=False)


def parse(stderr: str) -> int | None:
    """Instructions of all processes together from callgrind's whole log.

    A process that was killed leaves no line: the sum is that of the others. None where nothing was counted, or where
    the log is cut before the line of the first process, which is the last.
    """
    begin = _BEGIN.search(stderr)
    found = dict(_COLLECTED.findall(stderr))
    if begin is None or begin[1] not in found:
        return None
    return sum(map(int, found.values())) or None


def result(count: int | None) -> dict[str, int | str | None]:
    """Fields of `Result.run` about a count; the reason where there is none. A verdict never depends on them."""
    if count is not None:
        return {"instructions": count}
    return {"instructions": None, "instructions_reason": missing() or NOT_ENDED}

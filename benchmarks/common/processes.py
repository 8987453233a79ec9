"""CPU time, memory and leftovers of a process and of all that it started, from /proc.

Belongs here: reading. The time of a process that has ended is in that of the one that waited for it. The first process
of a box waits for all others, so their time arrives here (`sandbox_box` measures that); only what the kernel ends
together with a box is waited for by nobody.
"""

from __future__ import annotations

import os
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_PARENT, _TIMES = 1, slice(11, 15)


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/PID/stat from the state on; None when the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def descendants(root: int) -> list[int]:
    """All processes below `root`, at this moment."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and (stat := _stat(int(entry.name))) is not None:
            children.setdefault(int(stat[_PARENT]), []).append(int(entry.name))
    found, left = [], [root]
    while left:
        below = children.get(left.pop(), [])
        found += below
        left += below
    return found


def cpu_seconds(root: int) -> float:
    """User and system time of `root` and of all that it started, waited for or still running.

    Raises
    ------
    ProcessLookupError
        There is no such process.
    """
    if (own := _stat(root)) is None:
        raise ProcessLookupError(f"no process {root}")
    stats = [own, *(s for pid in descendants(root) if (s := _stat(pid)) is not None)]
    return sum(int(ticks) for stat in stats for ticks in stat[_TIMES]) / _TICK


def resident_mib(pid: int) -> float:
    """Resident memory in MiB (2**20 bytes)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise ProcessLookupError(f"process {pid} has ended")


def peak_gib(pid: int) -> float:
    """The most resident memory that a process has had, in GiB (2**30 bytes); 0 when it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    line = next((line for line in status.splitlines() if line.startswith("VmHWM:")), "")
    return int(line.split()[1]) / 2**20 if line else 0.0


def open_files(pid: int) -> int:
    """Number of open descriptors."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def mounts(pid: int | str = "self") -> int:
    """Number of mounts that a process sees."""
    return len(Path(f"/proc/{pid}/mountinfo").read_text().splitlines())

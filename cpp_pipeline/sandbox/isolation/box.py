"""What a box is: a command, what it may see, its limits, and what it left.

Belongs here: the records and the protocol that every isolation backend keeps. Not here: how a backend does it.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

Level = Literal["none", "process", "namespaces", "kernel"]


class IsolationError(Exception):
    """No box can be had; the message says why and what to do."""


@dataclass(frozen=True)
class Limits:
    """Bounds of one box.

    `cpu_seconds` holds for each process in it; `memory_bytes` and `processes` for all together where the backend has
    a cgroup, and `memory_bytes` for each process's address space as well unless `address_space` is False (sanitizers
    reserve terabytes of it).
    """

    wall_seconds: float = 20.0
    cpu_seconds: int = 10
    memory_bytes: int = 1 << 29
    processes: int = 48
    file_bytes: int = 16 << 20
    open_files: int = 64
    output_bytes: int = 1 << 20
    workspace_bytes: int = 32 << 20
    address_space: bool = True


@dataclass(frozen=True)
class Box:
    """A command and what it may see.

    `readonly` and `writable` are (host path, path in the box) pairs. `stdin` is what the command reads, or a file
    descriptor to read from; `stdout` a descriptor to write to in place of the collected output.
    `environment` is added to the box's own few variables. `proc` mounts the box's own /proc. `trusted` says that the
    command is ours or the data's, and not a candidate's: backends that keep the two apart may run it elsewhere.
    """

    argv: Sequence[str]
    limits: Limits = field(default_factory=Limits)
    stdin: bytes | int = b""
    readonly: Sequence[tuple[str, str]] = ()
    writable: Sequence[tuple[str, str]] = ()
    proc: bool = False
    stdout: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    trusted: bool = False


@dataclass(frozen=True)
class BoxResult:
    """What a box left: exit code (128 + signal when killed), capped output, and why it was ended early.

    `killed` is true when none of the deadline, the flood rule and the group's memory limit ended a box that died of
    SIGKILL. From out here a
    program that kills itself and all others of its box looks the same as one that the machine killed; so only those
    callers may take it for trouble of the machine that run nothing which can send signals.
    `out_of_memory` is the cgroup's word that the kernel ended a process of the box for want of memory.
    """

    exit_code: int
    stdout: bytes
    stderr: bytes
    timed_out: bool
    flooded: bool
    wall_seconds: float
    out_of_memory: bool = False

    @property
    def killed(self) -> bool:
        """Ended by a SIGKILL that is not ours."""
        ours = self.timed_out or self.flooded or self.out_of_memory
        return self.exit_code == 128 + signal.SIGKILL and not ours


class Backend(Protocol):
    """Runs boxes; safe to use from several threads.

    `name` is reported with every result, `level` says what stands between the candidate and the host: nothing, rules
    for a process, own namespaces, or a kernel of its own. Files in `readonly` must be readable, folders in
    `writable` writable for `uid`. `cgroup` is the version of the control groups that bound the memory of all processes
    of a box together, "v1" or "v2", or empty where each process is bounded alone.
    """

    name: str
    level: Level
    uid: int
    cgroup: str

    def run(self, box: Box) -> BoxResult:
        """Run one box to its end, its deadline or its output cap; raises IsolationError when it did not start."""

    def close(self) -> None:
        """End every running box and start no more."""

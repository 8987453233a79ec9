"""Control groups: memory and processes of a whole box, where the machine lets us make groups.

Belongs here: groups of boxes and what they counted. Not here: where a machine lets us make some (`hierarchies`).
Never required: without them memory is bounded for each process only. A group serves one box at a time and is kept for
the next box of the same limits, because a group that is removed lives on in the kernel as long as a page of a file is
charged to it.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import re
import signal
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

logger = logging.getLogger(__name__)
_IDLE = 16
_PATIENCE_SECONDS = 2.0
_NUMBERS = itertools.count()
_NAME = re.compile(r"cpp-pipeline-(\d+)-(\d+)-(\d+)-\d+")
_OOM_KILL = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)
_LIMITS = {
    # the second file counts memory and swap together (v1) or swap alone (v2), and is not there without swap accounting
    "v1": ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.oom_control"),
    "v2": ("memory.max", "memory.swap.max", "memory.events"),
}


class Group:
    """One group: a folder, in v1 one for each controller.

    Raises
    ------
    OSError
        It cannot be made or bounded.
    """

    def __init__(self, folders: Sequence[Path], version: str, memory_bytes: int, processes: int) -> None:
        self.folders: list[Path] = []
        self.descriptors: list[int] = []
        """To write "0" to, by a process that joins."""
        limit, swap, self._counter = _LIMITS[version]
        try:
            for folder in folders:
                folder.mkdir()
                self.folders.append(folder)
            _write(folders[0] / limit, memory_bytes)
            if (folders[0] / swap).exists():
                _write(folders[0] / swap, memory_bytes if version == "v1" else 0)
            if (folders[-1] / "pids.max").exists():
                _write(folders[-1] / "pids.max", processes)
            for folder in folders:
                self.descriptors.append(os.open(folder / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC))
            self._seen = self._killed()
        except OSError:
            self.remove()
            raise

    def _killed(self) -> int:
        found = _OOM_KILL.search((self.folders[0] / self._counter).read_text())
        return int(found[1]) if found else 0

    def out_of_memory(self) -> bool:
        """Whether the kernel ended a process of the group for want of memory since the group was made or asked."""
        before, self._seen = self._seen, self._killed()
        return self._seen > before

    def members(self) -> list[int]:
        """Processes in it now."""
        found = {pid for folder in self.folders for pid in (folder / "cgroup.procs").read_text().split()}
        return [int(pid) for pid in found]

    def remove(self) -> None:
        """Remove it, ending what is still in it."""
        for fd in self.descriptors:
            os.close(fd)
        self.descriptors = []
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while any(folder.exists() for folder in self.folders):
            for folder in self.folders:
                with contextlib.suppress(OSError):
                    folder.rmdir()
            if time.monotonic() > deadline:
                logger.warning("control group %s cannot be removed", self.folders[0])
                return
            for folder in self.folders:
                if folder.exists():
                    _end_members(folder)


def _write(path: Path, number: int) -> None:
    with open(path, "r+") as file:  # unlike "w" it never makes a file, which would be no control
        file.write(str(number))


def _end_members(folder: Path) -> None:
    for pid in (folder / "cgroup.procs").read_text().split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    time.sleep(0.005)


@dataclass(frozen=True)
class _NoGroup:
    descriptors: Sequence[int] = ()

    def out_of_memory(self) -> bool:
        return False


class Groups:
    """Groups below `parents`; without parents every lease is empty. Safe to use from several threads.

    Parameters
    ----------
    parents : Sequence[Path]
        Folder of the memory controller and, in v1, of the pids controller if there is one.
    version : str
        "v1", "v2", or "" for none.
    """

    def __init__(self, parents: Sequence[Path] = (), version: str = "") -> None:
        self.version = version
        self._parents = parents
        self._owner = f"cpp-pipeline-{_namespace()}-{os.getpid()}-{_started(os.getpid())}"
        self._lock = threading.Lock()
        self._idle: list[tuple[tuple[int, int], Group]] = []
        self._most_idle = _IDLE
        weakref.finalize(self, _remove_all, self._idle, os.getpid())  # also for a backend that nobody closed

    @contextlib.contextmanager
    def lease(self, memory_bytes: int, processes: int) -> Iterator[Group | _NoGroup]:
        """A group with these limits for one box.

        Raises
        ------
        OSError
            The group cannot be made any more, though it could at start.
        """
        if not self._parents:
            yield _NoGroup()
            return
        group = self._take((memory_bytes, processes))
        try:
            yield group
        finally:
            if group.members():
                group.remove()
            else:
                self._give_back((memory_bytes, processes), group)

    def _take(self, limits: tuple[int, int]) -> Group:
        with self._lock:
            for at, (found, group) in enumerate(self._idle):
                if found == limits:
                    del self._idle[at]
                    return group
        name = f"{self._owner}-{next(_NUMBERS)}"
        return Group([parent / name for parent in self._parents], self.version, *limits)

    def _give_back(self, limits: tuple[int, int], group: Group) -> None:
        with self._lock:
            self._idle.append((limits, group))
            spare = self._idle.pop(0)[1] if len(self._idle) > self._most_idle else None
        if spare is not None:
            spare.remove()

    def close(self) -> None:
        """Remove every group, one that a box uses as soon as it does not."""
        with self._lock:
            self._most_idle = 0
        _remove_all(self._idle, os.getpid())

    def sweep(self) -> None:
        """Remove empty groups of services that are gone, here and beside; those with processes cannot be removed."""
        for parent in self._parents:
            for folder in (*parent.glob("cpp-pipeline-*"), *parent.parent.glob("*/cpp-pipeline-*")):
                match = _NAME.fullmatch(folder.name)
                if match is None or int(match[1]) != _namespace() or _started(int(match[2])) == int(match[3]):
                    continue
                with contextlib.suppress(OSError):
                    folder.rmdir()


def _remove_all(idle: list[tuple[tuple[int, int], Group]], owner: int) -> None:
    while os.getpid() == owner:  # a forked process ends with copies of what is not its own
        try:
            _, group = idle.pop()
        except IndexError:
            return
        group.remove()


def _namespace() -> int:
    """Number of the namespace in which process numbers of ours mean something."""
    return os.stat("/proc/self/ns/pid").st_ino


def _started(pid: int) -> int:
    """Start time of a process in clock ticks since boot, which with its number names it for good; 0 when gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19])
    except (FileNotFoundError, ProcessLookupError):
        return 0

"""One command in namespaces of its own, for a container that may make nothing but those.

Belongs here: boxes of a user without privileges, whose root is that of the container. A box has its own user, process,
network and IPC namespaces, no sockets at all, no capabilities, the usual limits and an empty /tmp. It keeps the uid of
the container and sees its files, so what else is written with that uid is not safe from it: callers run one box at a
time and clear away behind it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from cpp_pipeline.sandbox.isolation.box import Box, BoxResult, IsolationError, Level
from cpp_pipeline.sandbox.isolation.cgroup import Groups
from cpp_pipeline.sandbox.isolation.hostpaths import HostPaths, more_than
from cpp_pipeline.sandbox.isolation.launcher import limit_options
from cpp_pipeline.sandbox.isolation.process import Order, Processes, sealed
from cpp_pipeline.sandbox.isolation.seccomp import write_filter

_GVISOR = "#1 SMP Sun Jan 10 15:06:54 PST 2016"
"""What gVisor's kernel calls its version, in every build of it."""


class Nested:
    """Runs boxes one after the other, in `folder`, which belongs to this user.

    Raises
    ------
    IsolationError
        No C compiler, no filter table, or namespaces cannot be made here.
    """

    name = "nested"

    def __init__(self, folder: Path, unwanted: Callable[[Box], bool] = lambda _: False) -> None:
        self.uid = os.geteuid()
        if self.uid == 0:
            raise IsolationError("boxes of a pod are refused to root: give its containers uids (runAsUser)")
        self.level: Level = "kernel" if under_gvisor() else "namespaces"
        self.cgroup = ""
        self._unwanted = unwanted
        self._folder = folder / "box"
        self._turn = threading.Lock()
        self._processes = Processes(folder, Groups())
        # a box can write what this uid can: the launcher and the filter are kept where nothing can be written
        self._held = [sealed(path.read_bytes()) for path in (self._processes.jail, write_filter(folder, False))]
        jail, self._filter = (Path(f"/proc/self/fd/{file.fileno()}") for file in self._held)
        self._processes.jail = jail
        tried = self.run(Box(["/bin/true"]))
        if tried.exit_code != 0:
            raise IsolationError(f"a box cannot be run here (exit {tried.exit_code}): {tried.stderr.decode()[-400:]}")

    def close(self) -> None:
        """End every running box and start no more."""
        self._processes.close()

    def run(self, box: Box, descriptors: Sequence[int] = ()) -> BoxResult:
        """Run one box to its end, its deadline or its output cap; `descriptors` stay open in it.

        Raises
        ------
        IsolationError
            It did not start, or the backend was closed while it ran: what it left says nothing then.
        """
        with self._turn:
            remove(self._folder)
            self._folder.mkdir(mode=0o700)
            try:
                return self._run(box, descriptors)
            finally:
                remove(self._folder)

    def _run(self, box: Box, descriptors: Sequence[int]) -> BoxResult:
        paths = HostPaths(box, self._folder)
        words = ["-n", "own", "-c", str(self._folder), "-f", str(self._filter), *limit_options(box.limits)]

        def spent() -> bool:
            return more_than(self._folder, box.limits.workspace_bytes) or self._unwanted(box)

        def order(status: int) -> Order:
            opened = (*(file.fileno() for file in self._held), *descriptors)
            return Order([*words, "-s", str(status), "--", *paths.argv], opened, paths.environment, spent=spent)

        result = self._processes.run(box, order)
        return replace(result, stderr=paths.inside(result.stderr))


def under_gvisor() -> bool:
    """Whether this kernel is gVisor's."""
    return os.uname().version == _GVISOR


def own_processes(uid: int) -> int:
    """Number of processes of a user, as far as /proc shows them."""
    count = 0
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):  # it has just ended
                count += os.stat(f"/proc/{name}").st_uid == uid
    return count


def remove(path: Path) -> None:
    """Remove what a box wrote, also folders that it closed to itself. Raises IsolationError when it stays."""
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
        return
    subprocess.run(["/bin/chmod", "-R", "u+rwX", "--", str(path)], capture_output=True, check=False)
    subprocess.run(["/bin/rm", "-rf", "--", str(path)], capture_output=True, check=False)
    if path.exists():
        shutil.rmtree(path, ignore_errors=True)
        raise IsolationError(f"{path} cannot be removed")

"""One command under Landlock, a system call filter, limits and a uid of its own, for machines without namespaces.

Belongs here: what a box may use of the host.
What it does not hold: the disk is bounded for each file, and for the box's /tmp by a look every fifth of a second;
the command sees the host's paths, whether a file exists and who owns it; there are no unix sockets at all.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from cpp_pipeline.sandbox.isolation.box import Box, BoxResult, IsolationError, Level
from cpp_pipeline.sandbox.isolation.hostpaths import HostPaths, more_than, scratch
from cpp_pipeline.sandbox.isolation.launcher import NOBODY, ROOT_LINKS, limit_options
from cpp_pipeline.sandbox.isolation.process import Order, Processes
from cpp_pipeline.sandbox.isolation.seccomp import write_filter

_ABI = 6  # the first that keeps signals and abstract sockets inside
_UIDS = range(60600, 61100)  # free for local use, and inside the 65536 that a container usually has
_DEVICES = ("null", "zero", "full", "random", "urandom")


class Landlock:
    """Runs boxes as plain processes that the kernel keeps from files, sockets and processes of others.

    Each running box has a uid of its own, so that the number of processes is counted for it alone and all of them can
    be ended at once; therefore it needs root. All boxes share one group, to which `writable` folders are opened.

    Parameters
    ----------
    folder : Path
        Folder for the filter, the launcher and the boxes' /tmp; must be reachable by other users.

    Raises
    ------
    IsolationError
        Not root, a kernel without Landlock version 6, no C compiler, or no filter table.
    """

    name = "landlock"
    level: Level = "process"

    def __init__(self, folder: Path) -> None:
        if os.geteuid() != 0:
            raise IsolationError("landlock needs root, to give every box a uid of its own; use bubblewrap")
        self.uid = NOBODY
        self.filter = write_filter(folder, namespaces=False)
        self._processes = Processes(folder)
        self.cgroup = self._processes.groups.version
        abi = int(subprocess.run([self._processes.jail, "-V"], capture_output=True, check=True).stdout)
        if abi < _ABI:
            raise IsolationError(f"the kernel offers Landlock version {abi}, and {_ABI} is needed (Linux 6.12)")
        self._folders = folder / "boxes"
        self._folders.mkdir(exist_ok=True)
        self._folders.chmod(0o711)
        self._rules = [word for name in ("usr", *ROOT_LINKS) if Path("/", name).is_dir() for word in ("-r", f"/{name}")]
        self._rules += [word for name in _DEVICES for word in ("-d", f"/dev/{name}")]

    def close(self) -> None:
        """End every running box and start no more."""
        self._processes.close()

    def run(self, box: Box) -> BoxResult:
        """Run one box to its end, its deadline or its output cap.

        Raises
        ------
        IsolationError
            The box did not start, or the sandbox was closed while it ran: what it left says nothing then.
        """
        with _uid() as (uid, lease), scratch(self._folders, uid) as folder:
            paths = HostPaths(box, folder)
            for outside, _ in box.writable:
                os.chown(outside, -1, NOBODY)
                os.chmod(outside, Path(outside).stat().st_mode | 0o070)
            words = [*self._rules, "-w", str(folder), "-c", str(folder), *(["-o", "/proc/self"] if box.proc else [])]
            words += [word for outside, _ in box.readonly for word in ("-r", outside)]
            words += [word for outside, _ in box.writable for word in ("-w", outside)]
            words += ["-u", str(uid), "-a", str(uid), "-g", str(NOBODY), "-k", str(lease)]
            words += ["-f", str(self.filter), *limit_options(box.limits)]

            def order(status: int) -> Order:
                return Order(
                    [*words, "-s", str(status), "--", *paths.argv],
                    (lease,),
                    paths.environment,
                    spent=lambda: more_than(folder, box.limits.workspace_bytes),
                )

            result = self._processes.run(box, order)
        return replace(result, stderr=paths.inside(result.stderr))


@contextlib.contextmanager
def _uid() -> Iterator[tuple[int, int]]:
    """A uid that no other running box of this machine has, and the descriptor that holds it.

    The kernel frees the name when its last holder is gone, and the box's supervisor is one.
    """
    for uid in _UIDS:
        with socket.socket(socket.AF_UNIX) as lease:
            try:
                lease.bind(f"\0cpp-pipeline-uid-{uid}")
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise IsolationError(f"a uid for a box cannot be reserved: {error}") from error
                continue
            yield uid, lease.fileno()
            return
    raise IsolationError(f"all uids from {_UIDS.start} to {_UIDS.stop - 1} are in use by running boxes")

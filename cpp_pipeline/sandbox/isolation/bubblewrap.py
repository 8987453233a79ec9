"""One command in a bubblewrap box: namespaces, a minimal read-only root, a system call filter, limits.

Belongs here: how bubblewrap is called. Not here: running it (`process`), and whether the box holds (`probes`).
"""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from cpp_pipeline.sandbox.isolation.box import Box, BoxResult, IsolationError, Level
from cpp_pipeline.sandbox.isolation.launcher import ENVIRONMENT, NOBODY, ROOT_LINKS, limit_options
from cpp_pipeline.sandbox.isolation.process import Order, Processes
from cpp_pipeline.sandbox.isolation.seccomp import write_filter

_OVERHEAD = (8 << 20, 4)  # bubblewrap itself and the init of the box


class Bubblewrap:
    """Runs boxes with bubblewrap under an unprivileged uid.

    Parameters
    ----------
    scratch : Path
        Folder for the filter and the launcher; must be readable by `nobody`.
    bwrap : str
        Program name or path.
    unwanted : Callable, optional
        Asked now and then while a box runs; true ends it.

    Raises
    ------
    IsolationError
        bubblewrap or a C compiler is missing, or this machine has no filter table.
    """

    name = "bubblewrap"
    level: Level = "namespaces"

    def __init__(self, scratch: Path, bwrap: str = "bwrap", unwanted: Callable[[Box], bool] | None = None) -> None:
        found = shutil.which(bwrap)
        if found is None:
            raise IsolationError(f"{bwrap} is not installed; on Debian: apt-get install bubblewrap")
        self.filter = write_filter(scratch)
        self._unwanted = unwanted
        self.uid = NOBODY if os.geteuid() == 0 else os.geteuid()
        self._processes = Processes(scratch)
        self.cgroup = self._processes.groups.version
        drop = ["-g", str(NOBODY), "-u", str(NOBODY)] if os.geteuid() == 0 else []
        self._start = [*drop, "--", found, *_ROOT, *_root_folders()]
        self._start += ["--ro-bind", str(self._processes.jail), "/jail"]

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
        with self.filter.open("rb") as program:
            # bubblewrap itself reports the start, on a descriptor that the boxed program never has
            return self._processes.run(box, lambda status: self._order(box, program.fileno(), status), b'"child-pid"')

    def _order(self, box: Box, program: int, status: int) -> Order:
        words = [*self._start, "--size", str(box.limits.workspace_bytes), "--tmpfs", "/tmp", "--dir", "/box"]
        for name, value in {**ENVIRONMENT, **box.environment}.items():
            words += ["--setenv", name, value]
        if box.proc:
            words += ["--proc", "/proc"]
        for outside, inside in box.readonly:
            words += ["--ro-bind", outside, inside]
        for outside, inside in box.writable:
            words += ["--bind", outside, inside]
        words += ["--remount-ro", "/", "--remount-ro", "/dev", "--chdir", "/tmp"]
        words += ["--seccomp", str(program), "--json-status-fd", str(status), "--"]
        # limits are set inside: only there is the process count that of the box's own user namespace
        words += ["/jail", *limit_options(box.limits), "--", *box.argv]
        spent = None if self._unwanted is None else functools.partial(self._unwanted, box)
        return Order(words, (program,), overhead=_OVERHEAD, spent=spent)


_ROOT = (
    *("--unshare-all", "--die-with-parent", "--new-session", "--clearenv"),
    *("--uid", str(NOBODY), "--gid", str(NOBODY), "--hostname", "box"),
    *("--ro-bind", "/usr", "/usr", "--dev", "/dev"),
)


def _root_folders() -> list[str]:
    words = []
    for name in ROOT_LINKS:
        path = Path("/", name)
        if path.is_symlink():
            words += ["--symlink", os.readlink(path), f"/{name}"]
        elif path.is_dir():
            words += ["--ro-bind", f"/{name}", f"/{name}"]
    return words

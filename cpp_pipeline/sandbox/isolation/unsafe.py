"""No isolation at all: the command runs as this user, with limits and a deadline.

Belongs here: the refusal to do so by accident. Code that runs here can read and change whatever this user can, reach
the network, and disturb other boxes; it is for code of one's own on a machine that offers nothing else.
"""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path

from cpp_pipeline.sandbox.isolation.box import Box, BoxResult, IsolationError, Level
from cpp_pipeline.sandbox.isolation.hostpaths import HostPaths, scratch
from cpp_pipeline.sandbox.isolation.launcher import limit_options
from cpp_pipeline.sandbox.isolation.process import Order, Processes

logger = logging.getLogger(__name__)


class Unsafe:
    """Runs commands without isolation; not probed, since every probe would be open.

    Parameters
    ----------
    folder : Path
        For the launcher and the boxes' /tmp.
    allow_unsafe : bool
        The caller's consent.
    environment_allows : bool
        The machine's consent (`CPP_PIPELINE_ALLOW_UNSAFE=1`).

    Raises
    ------
    IsolationError
        A consent is missing, this user is root, or the launcher cannot be built.
    """

    name = "none"
    level: Level = "none"

    def __init__(self, folder: Path, allow_unsafe: bool, environment_allows: bool) -> None:
        if not (allow_unsafe and environment_allows):
            raise IsolationError(
                "running without isolation needs both allow_unsafe and CPP_PIPELINE_ALLOW_UNSAFE=1; "
                "better: apt-get install bubblewrap"
            )
        if os.geteuid() == 0:
            raise IsolationError("running without isolation is refused to root; start as another user")
        logger.warning("boxes have NO isolation: code that is judged can do all that uid %d can", os.geteuid())
        self.uid = os.geteuid()
        self._processes = Processes(folder)
        self.cgroup = self._processes.groups.version
        self._folders = folder / "boxes"
        self._folders.mkdir(exist_ok=True)

    def close(self) -> None:
        """End every running box and start no more."""
        self._processes.close()

    def run(self, box: Box) -> BoxResult:
        """Run one command to its end, its deadline or its output cap.

        Raises
        ------
        IsolationError
            It did not start, or the backend was closed while it ran: what it left says nothing then.
        """
        # the limit of processes would count all processes of this user
        limits = limit_options(box.limits, without="nproc")
        with scratch(self._folders, self.uid) as folder:
            paths = HostPaths(box, folder)
            words = ["-c", str(folder), *limits]
            result = self._processes.run(
                box, lambda status: Order([*words, "-s", str(status), "--", *paths.argv], (), paths.environment)
            )
        return replace(result, stderr=paths.inside(result.stderr))

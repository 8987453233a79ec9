"""`python -m cpp_pipeline.launch.tether PARENT COMMAND...`: run a command that dies with its parent.

A SIGKILLed run cannot stop its trainer. An orphan would go on writing into the work folder that
the next run resumes from, so the kernel is asked to end it (prctl(2), PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def tether(parent: int) -> None:
    """End this process when `parent`, its parent, ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before the call
            os.kill(os.getpid(), signal.SIGKILL)


def main(arguments: list[str]) -> None:
    """Tether, then become the command; the setting survives exec."""
    parent, *command = arguments
    tether(int(parent))
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])

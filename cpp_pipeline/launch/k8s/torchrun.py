"""`python -m cpp_pipeline.launch.k8s.torchrun [--node=N] ...`: torchrun, as the pods of a Job need it.

It ends with the exit code of the process that failed. Torchrun itself ends with 1 whatever happened, so that a Job
could not tell training that would fail again (wrong flags, a loss that is not finite) from a machine that was lost.
A machine that loses the one where they met ends as if it had been stopped: the loss is counted where it happened.

Of several nodes, N says which one this is. Torchrun itself guesses by host names whether it is the one where the
others are to meet, and guesses wrong as long as the name of a new pod is not known.
"""

from __future__ import annotations

import sys
import traceback

from cpp_pipeline.launch.k8s.manifest import DO_NOT_RETRY, STOPPED

NODE = "--node="
_PATIENCE = "join_timeout=1800,read_timeout=600"
"""Seconds that nodes wait for each other: a machine that was taken away may be long in coming back."""


def main() -> None:
    """Take the flags of torchrun; of several failures within one look of torchrun, a final one counts."""
    flags = sys.argv[1:]
    if flags and flags[0].startswith(NODE):
        is_host = flags[0] == f"{NODE}0"
        flags[0] = f"--rdzv-conf=is_host={str(is_host).lower()},{_PATIENCE}"
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous import RendezvousConnectionError
    from torch.distributed.run import main as torchrun

    try:
        torchrun(flags)
    except ChildFailedError as error:
        _, first = error.get_first_failure()
        final = [failed for failed in error.failures.values() if failed.exitcode in DO_NOT_RETRY]
        failed = final[0] if final else first
        code = failed.exitcode
        print(f"torchrun: process {failed.local_rank} of this machine failed, exit code {code}", file=sys.stderr)
        sys.exit(code if code >= 0 else 128 - code)
    except RendezvousConnectionError as error:
        # asked only while all machines work: one that cannot be found in the beginning fails
        if not any(frame.name == "num_nodes_waiting" for frame in traceback.extract_tb(error.__traceback__)):
            raise
        print(f"torchrun: the machine where all had met is lost: {error}", file=sys.stderr)
        sys.exit(STOPPED)


if __name__ == "__main__":
    main()

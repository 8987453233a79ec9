"""`python -m cpp_pipeline.launch.k8s.torchrun ...`: torchrun that ends with the exit code of the process that failed.

Torchrun itself ends with 1 whatever happened, so that a Job could not tell training that would fail again (wrong
flags, a loss that is not finite) from a machine that was lost.
"""

from __future__ import annotations

import sys

from cpp_pipeline.launch.k8s.manifest import DO_NOT_RETRY


def main() -> None:
    """Take the flags of torchrun; of several failures within one look of torchrun, a final one counts."""
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main as torchrun

    try:
        torchrun()
    except ChildFailedError as error:
        _, first = error.get_first_failure()
        final = [failed for failed in error.failures.values() if failed.exitcode in DO_NOT_RETRY]
        failed = final[0] if final else first
        code = failed.exitcode
        print(f"torchrun: process {failed.local_rank} of this machine failed, exit code {code}", file=sys.stderr)
        sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()

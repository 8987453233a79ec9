"""Run subjects one after the other, print a table and keep it in docs/benchmarks.md."""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import benchmarks
from benchmarks.common import report
from benchmarks.common.machine import facts
from benchmarks.common.rows import Options, Row

_HERE = Path(benchmarks.__path__[0])
_FOLDERS = {
    "corpora": "source trees",
    "histories": "bare git repositories",
    "peers": "environments of peers, PEERS/NAME/bin/python",
}


def subjects() -> list[str]:
    """Names of all subjects: the modules of this package."""
    found = (module.name for module in pkgutil.iter_modules(benchmarks.__path__) if not module.ispkg)
    return sorted(name for name in found if not name.startswith("_"))


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0 when every bar holds, 1 when one does not, 2 for arguments that cannot be."""
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"subjects, or how their names begin; all of: {', '.join(subjects())}")
    parser.add_argument("--humaneval", type=Path, help="HumanEval-X C++ (JSONL); README.md says where to get it")
    for name, holds in _FOLDERS.items():
        parser.add_argument(f"--{name}", type=Path, help=f"folder of {holds}; see scripts/bench-corpora")
    parser.add_argument("--nanochat", type=Path, help="checkout of karpathy/nanochat, a peer that is in no registry")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="workers of ours and of each peer")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, help="turns of ours and of each peer; default: by subject")
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that it works, measures little")
    parser.add_argument(
        "--out", type=Path, help="folder of the page, which keeps its other subjects; default: docs, for a whole run"
    )
    args = parser.parse_args(argv)
    chosen = [name for name in subjects() if not args.names or name.startswith(tuple(args.names))]
    if not chosen:
        print(f"no subject begins with {', '.join(args.names)}; there are {', '.join(subjects())}", file=sys.stderr)
        return 2
    if args.humaneval is not None and not args.humaneval.is_file():
        print(f"--humaneval {args.humaneval}: no such file", file=sys.stderr)
        return 2
    if args.repeats is not None and args.repeats < 1:
        parser.error(f"--repeats {args.repeats}: at least 1")
    folders = (args.corpora, args.histories, args.peers, args.nanochat)
    absent = [str(f) for f in folders if f is not None and not f.is_dir()]
    if absent:
        print(f"{', '.join(absent)}: no such folder", file=sys.stderr)
        return 2
    options = Options(args.humaneval, args.workers, args.quick, args.seed, *folders, args.repeats)
    whole = not args.names and not args.quick
    folder = args.out or (_HERE.parent / "docs" if whole else None)
    rows: list[Row] = []
    for name in chosen:
        found = _measured(name, options)
        rows += found.rows
        if folder is not None:  # after each: a run takes more than an hour, and its last subject may fail
            report.write({name: found}, folder, subjects())
    report.show(rows)
    missed = [f"{row.subject}: {row.what}" for row in rows if row.ok is False]
    print(f"{len(rows)} rows, {len(missed)} bars missed{': ' if missed else ''}{'; '.join(missed)}")
    return 1 if missed else 0


def _measured(name: str, options: Options) -> report.Measured:
    machine, begun = facts(), time.monotonic()
    print(f"{name} ...", file=sys.stderr, flush=True)
    rows: list[Row] = importlib.import_module(f"benchmarks.{name}").run(options)
    print(f"{name}: {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    return report.measured(rows, time.monotonic() - begun, machine)


if __name__ == "__main__":
    sys.exit(main())

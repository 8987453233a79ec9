"""One dump from its files to distinct pairs, as the assets do it, in a process that is measured from outside.

Belongs here: the chain of stages, and CPU, rows and peak memory of each. Does not belong here: making the dump, reading
the figures (`data_scale`). Run as `python -m benchmarks.common.scale_worker DUMP WORKERS`; prints one JSON object.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import polars as pl

from benchmarks.common.processes import cpu_seconds, peak_gib
from cpp_pipeline.curate.distinct import distinct_pairs
from cpp_pipeline.curate.files import clean
from cpp_pipeline.dumps.reading import read_files
from cpp_pipeline.extract.pairs import docstring_pairs
from cpp_pipeline.storage.scratch import scratch_folder, spooled


def main(dump: str, workers: int) -> None:
    """Run the stages; each ends with its table in a file, as between two assets."""
    scratch = scratch_folder()
    told: dict[str, dict[str, float]] = {}

    def measured(stage: str, made: Callable[[], Iterable[pl.LazyFrame]]) -> list[pl.LazyFrame]:
        _forget_peak()
        begun = cpu_seconds(os.getpid())
        kept = [spooled(frame)[0] for frame in made()]
        rows = kept[0].select(pl.len()).collect().item()
        told[stage] = {"seconds": cpu_seconds(os.getpid()) - begun, "rows": rows, "gib": peak_gib(os.getpid())}
        return kept

    files = measured("read_files", lambda: read_files(dump, "scale", scratch))
    kept = measured("clean", lambda: clean(files[0]))
    found = measured("docstring_pairs", lambda: docstring_pairs(kept[0], "scale", scratch, workers))
    measured("distinct_pairs", lambda: distinct_pairs(found[0], found[1], scratch))
    print(json.dumps(told))


def _forget_peak() -> None:
    """Let the peak of this process begin anew (proc(5), clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

"""From all C and C++ bytes of a dump to finished pairs, against tree-sitter that only parses the same bytes.

Ours filters the files of `source_files`, redacts, blanks macros, extracts, joins, judges and takes out duplicates:
CPU of the whole process tree. The peer parses bytes that lie in memory and looks at no tree. Both in turn. A second row
adds what ours takes to read the folder as a dump (in a process of its own, with licences and marks); no bar is set for
it, for the peer reads nothing.
"""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import polars as pl
import tree_sitter_cpp
from tree_sitter import Language, Parser

from benchmarks.common.corpora import corpora, not_run, sources
from benchmarks.common.processes import cpu_seconds
from benchmarks.common.rows import Options, Row, ratio_row
from cpp_pipeline.curate.files import clean
from cpp_pipeline.dumps.reading import read_files
from cpp_pipeline.extract.pairs import docstring_pairs

_SUBJECT = "data_pairs"
_WHAT = "all bytes of a dump to finished pairs, CPU"
_WITH_READING = "the same with reading the dump from its folder"
_LEAST = 1.0
T = TypeVar("T")
_START = "/// Adds one to a number and returns it.\nint add(int n) { if (n) return n + 1; return 2; }\n"


@dataclass(frozen=True)
class _Run:
    """CPU seconds of each stage, and what came out."""

    read: float
    cleaned: float
    paired: float
    pairs: pl.DataFrame
    quarantine: pl.DataFrame
    dropped: pl.DataFrame

    @property
    def seconds(self) -> float:
        return self.read + self.cleaned + self.paired


def run(options: Options) -> list[Row]:
    """Ratios of `--corpora` as one dump, and how many pairs and refusals by reason it gives."""
    found = corpora(options)
    if not found or options.corpora is None:
        return [not_run(_SUBJECT, _WHAT, "give a folder of source trees with --corpora")]
    dump = options.size(options.corpora, min(found.values(), key=lambda p: len(sources(p))))
    texts = [path.read_bytes() for path in sources(dump)]
    parser = Parser(Language(tree_sitter_cpp.language()))
    start = _start(options.workers)
    ours: list[_Run] = []
    peer: list[float] = []
    for _ in range(options.size(5, 1)):
        begun = time.process_time()
        for text in texts:
            parser.parse(text)
        peer.append(time.process_time() - begun)
        ours.append(_run(dump, options.workers))
    size = sum(map(len, texts)) / 1e6
    what = f"{len(texts)} files, {size:.1f} MB"
    against = f"tree-sitter {version('tree-sitter')}, parsing alone"
    row = ratio_row(_SUBJECT, _WHAT, [r.cleaned + r.paired for r in ours], peer, "s", _LEAST, what, against)
    whole = ratio_row(_SUBJECT, _WITH_READING, [r.seconds for r in ours], peer, "s", notes=what, against=against)
    return [Row(**{**vars(row), "details": [*_stages(ours), start]}), whole, _yield(ours[-1])]


def _run(dump: Path, workers: int) -> _Run:
    scratch = Path(tempfile.mkdtemp(prefix="cpp-pipeline-pairs-"))
    try:
        times = [cpu_seconds(os.getpid())]

        def timed(made: T) -> T:
            times.append(cpu_seconds(os.getpid()))
            return made

        files, _bad = timed(read_files(dump, "bench", scratch))
        kept, dropped = clean(files)
        timed(kept.sink_parquet(scratch / "clean_files.parquet"))
        cleaned = pl.scan_parquet(scratch / "clean_files.parquet")
        pairs, bad = timed(docstring_pairs(cleaned, "bench", scratch, workers))
        read, cleaning, pairing = (after - before for before, after in pairwise(times))
        counts = (_counts(f, c) for f, c in ((pairs, "origin"), (bad, "reason"), (dropped, "reason")))
        return _Run(read, cleaning, pairing, *counts)
    finally:
        shutil.rmtree(scratch)


def _counts(frame: pl.LazyFrame, column: str) -> pl.DataFrame:
    return frame.group_by(column).len().sort(["len", column], descending=[True, False]).collect()


def _start(workers: int) -> str:
    """What the first run in a process costs: loading the parser and compiled code once."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "one.cpp").write_text(_START, encoding="utf-8")
        (Path(folder) / "LICENSE").write_text("SPDX-License-Identifier: MIT\n", encoding="utf-8")
        first, again = _run(Path(folder), workers).seconds, _run(Path(folder), workers).seconds
    return f"not in the ratio: {first - again:.1f} s of CPU once a process, {again:.1f} s of them again for each dump"


def _stages(runs: list[_Run]) -> list[str]:
    stages: dict[str, Callable[[_Run], float]] = {
        "read_files": lambda r: r.read,
        "clean": lambda r: r.cleaned,
        "docstring_pairs": lambda r: r.paired,
    }
    whole = statistics.median(r.seconds for r in runs)
    return [
        f"{name}: {statistics.median(map(of, runs)):.2f} s, {statistics.median(map(of, runs)) / whole:.0%}"
        for name, of in stages.items()
    ]


def _yield(last: _Run) -> Row:
    told = {"pairs": last.pairs, "functions kept out": last.quarantine, "files kept out": last.dropped}
    details = [f"{name}: " + ", ".join(f"{r} {n:,}" for r, n in frame.iter_rows()) for name, frame in told.items()]
    count = int(last.pairs["len"].sum())
    return Row(_SUBJECT, "pairs without exact duplicates", f"{count:,} pairs", details=details)

"""Repairs from real git histories: commits a CPU second from the bare repository to `diff_sft`, and where commits go.

Commits are those of the history that are no merges; the time is that of this process, all threads, for reading the
objects, cutting, parsing and judging. Yields are shares of the commits. One function: a usable message and exactly one
function changed, none added, both sides parse. All filters: what is left before only fixes that name a defect are
released.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import polars as pl

from benchmarks.common.corpora import histories, not_run
from benchmarks.common.rows import Options, Row
from cpp_pipeline.curate.repairs import redacted_repairs
from cpp_pipeline.dumps.history import read_commits
from cpp_pipeline.extract.diffs import diff_pairs
from cpp_pipeline.extract.released import RULES
from cpp_pipeline.schemas import TABLES

_NAME = "data_repairs"
_LEAST_COMMITS = 2_000
_BAR = 400.0
_CLONES = 2
_BEFORE_FILTERS = ("message", "unread", "comments only", "not one function", "parse_error")
_AFTER_FILTERS = ("unspecific", "not a fix")


def run(options: Options) -> list[Row]:
    """Four rows a history; the bar is that two histories of at least 2,000 commits are read fast enough."""
    found = {name: path.resolve() for name, path in histories(options).items()}
    if not found:
        return [not_run(_NAME, "commits a CPU second", "give bare repositories with --histories")]
    with tempfile.TemporaryDirectory() as folder:
        _measured(next(iter(found.values())), Path(folder) / "first")  # compiled kernels are loaded once
        chosen = list(found.items())[: options.size(len(found), 1)]
        rows = {name: _rows(name, path, Path(folder) / name) for name, path in chosen}
    fast = [name for name, of in rows.items() if of[0].ok]
    large = sum(of[0].ok is not None for of in rows.values())
    summary = Row(
        _NAME,
        f"histories of {_LEAST_COMMITS} commits or more at {_BAR:.0f} a CPU second",
        f"{len(fast)} of {large}",
        bar=f">= {_CLONES}",
        ok=len(fast) >= _CLONES if large >= _CLONES else None,
        notes=", ".join(fast),
    )
    return [summary, *(replace(row, ok=None) for of in rows.values() for row in of)]


def _measured(repository: Path, scratch: Path) -> tuple[float, pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """(CPU seconds, released rows, quarantine of `diff_sft`, quarantine of `commits`)."""
    begun = time.process_time()
    commits, passed_over = read_commits(repository, "bench", scratch)
    kept, refused = diff_pairs(commits, TABLES["repairs"].empty(), "bench", scratch)
    refused = refused.collect().lazy()
    spent = time.process_time() - begun
    kept, refused = redacted_repairs(kept, refused, scratch)
    return spent, kept.collect(), refused.collect(), passed_over.collect()


def _rows(name: str, repository: Path, scratch: Path) -> list[Row]:
    spent, kept, refused, passed_over = _measured(repository, scratch)
    reasons = dict(refused.group_by("reason").len().sort("len", "reason", descending=[True, False]).rows())
    # A file of a commit that could not be read is no commit of its own.
    before = passed_over.filter(~pl.col("row_id").str.contains("@[0-9a-f]+/"))
    number = len(kept) + len(refused) + len(before)
    if not number:
        return [not_run(_NAME, name, f"{repository} holds no history: {passed_over['detail'].to_list()[:1]}")]
    one = number - len(before) - sum(reasons.get(r, 0) for r in _BEFORE_FILTERS)
    every = len(kept) + sum(reasons.get(r, 0) for r in _AFTER_FILTERS)
    large = number >= _LEAST_COMMITS
    earlier = dict(before.group_by("reason").len().sort("len", "reason", descending=[True, False]).rows())
    details = [f"{name}, before the message: {r}: {n}" for r, n in earlier.items()]
    details += [f"{name}: {r}: {reasons[r]}" for r in (*RULES, "redacted", "duplicate") if r in reasons]
    speed = number / spent
    return [
        Row(
            _NAME,
            f"{name}: commits a CPU second",
            f"{speed:.0f}/s",
            ok=speed >= _BAR if large else None,
            notes=f"{number} commits, {spent:.1f} CPU s, with parsing",
        ),
        _yield(f"{name}: one function, before filters", one, number),
        _yield(f"{name}: all filters", every, number),
        Row(
            _NAME, f"{name}: released (fixes)", f"{len(kept)} rows", notes=f"{len(kept) / number:.3f}", details=details
        ),
    ]


def _yield(what: str, rows: int, number: int) -> Row:
    return Row(_NAME, what, f"{rows / number if number else 0.0:.3f}", notes=f"{rows} rows")

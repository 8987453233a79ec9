"""Rows as a table in the terminal, as a page and as a plot."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot
from rich.console import Console
from rich.table import Table

from benchmarks.common.machine import facts
from benchmarks.common.rows import Row

_HEAD = ("what", "ours", "peer", "ratio", "spread", "bar", "holds")
_INTRODUCTION = """# Benchmarks

Written by `make bench`; do not edit. Times are CPU seconds (user and system) of a whole process tree, not time on the
wall, and `ratio` is peer over ours as the median over repeats that were measured in turn. Ratios compare; seconds hold
for this machine only.
"""


def show(rows: Sequence[Row]) -> None:
    """Print a table, with what did not hold at the end."""
    table = Table("subject", *_HEAD, title="benchmarks")
    for row in rows:
        table.add_row(row.subject, *_cells(row))
    console = Console(width=200)
    console.print(table)
    for row in rows:
        for text in _remarks(row):
            console.print(f"{row.subject}, {row.what}: {text}", markup=False)


def write(rows: Sequence[Row], folder: Path, seconds: float) -> None:
    """Write `benchmarks.md` and `benchmarks.png` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    _plot([row for row in rows if row.ratio is not None], folder / "benchmarks.png")
    parts = [_INTRODUCTION, f"Run of {datetime.datetime.now(datetime.UTC):%Y-%m-%d}, {seconds / 60:.0f} minutes.\n"]
    parts.append(_markdown(("machine", ""), facts()))
    parts.append("![ratios](benchmarks.png)\n")
    for subject in dict.fromkeys(row.subject for row in rows):
        mine = [row for row in rows if row.subject == subject]
        parts.append(f"## {subject}\n\n{_markdown(_HEAD, [_cells(row) for row in mine])}")
        remarks = [f"* {row.what}: {text}" for row in mine for text in _remarks(row)]
        parts += ["\n".join([*remarks, ""])] if remarks else []
    (folder / "benchmarks.md").write_text("\n".join(parts), encoding="utf-8")


def _cells(row: Row) -> list[str]:
    holds = {True: "yes", False: "NO", None: ""}[row.ok]
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}x"
    return [row.what, row.ours, row.peer, ratio, row.spread, row.bar, holds]


def _remarks(row: Row) -> list[str]:
    return [" ".join(text.split()) for text in (row.notes, *row.details) if text]


def _markdown(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows) + "\n"


def _plot(rows: Sequence[Row], path: Path) -> None:
    figure, axes = pyplot.subplots(figsize=(9, 1.2 + 0.35 * len(rows)), layout="constrained")
    names = [f"{row.subject}: {row.what}" for row in rows]
    axes.barh(names, [row.ratio or 0.0 for row in rows], color=["#b33" if row.ok is False else "#357" for row in rows])
    for at, row in enumerate(rows):
        if row.least is not None:
            axes.plot([row.least, row.least], [at - 0.45, at + 0.45], color="black")
    axes.invert_yaxis()
    axes.set_xlabel("CPU of peer / ours (line: bar)")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)

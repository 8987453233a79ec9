"""Rows as a table in the terminal, as a page and as a plot.

Belongs here: how rows are shown and kept. What was measured last of each subject lies beside the page
(`benchmarks.json`), so that one subject can be measured again alone. Not here: measuring.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
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
for one machine only. Each subject says when it was measured last.
"""


@dataclass(frozen=True)
class Measured:
    """The last run of one subject."""

    rows: Sequence[Row]
    day: str
    seconds: float
    machine: Sequence[tuple[str, str]]


def measured(rows: Sequence[Row], seconds: float) -> Measured:
    """What was measured just now, on this machine."""
    return Measured(rows, f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}", seconds, facts())


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


def write(new: dict[str, Measured], folder: Path) -> None:
    """Write `benchmarks.md`, `.png` and `.json` into a folder; subjects that are not in `new` stay as they were."""
    folder.mkdir(parents=True, exist_ok=True)
    subjects = dict(sorted((_kept(folder / "benchmarks.json") | new).items()))
    rows = [row for subject in subjects.values() for row in subject.rows]
    _plot([row for row in rows if row.ratio is not None], folder / "benchmarks.png")
    parts = [_INTRODUCTION, "![ratios](benchmarks.png)\n"]
    for name, subject in subjects.items():
        parts.append(f"## {name}\n\n{_markdown(_HEAD, [_cells(row) for row in subject.rows])}")
        remarks = [f"* {row.what}: {text}" for row in subject.rows for text in _remarks(row)]
        machine = ", ".join(f"{what} {value}" for what, value in subject.machine)
        parts.append("\n".join([*remarks, f"* measured {subject.day} in {subject.seconds:.0f} s: {machine}", ""]))
    (folder / "benchmarks.md").write_text("\n".join(parts), encoding="utf-8")
    kept = json.dumps({name: asdict(subject) for name, subject in subjects.items()}, indent=1, ensure_ascii=False)
    (folder / "benchmarks.json").write_text(kept + "\n", encoding="utf-8")


def _kept(file: Path) -> dict[str, Measured]:
    if not file.is_file():
        return {}
    known = {field.name for field in fields(Row)}
    return {
        name: Measured(
            [Row(**{key: value for key, value in row.items() if key in known}) for row in subject["rows"]],
            subject["day"],
            subject["seconds"],
            [(what, value) for what, value in subject["machine"]],
        )
        for name, subject in json.loads(file.read_text(encoding="utf-8")).items()
    }


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

"""Rows as a table in the terminal, as a page and as a plot.

Belongs here: how rows are shown and kept. What was measured last of each subject lies beside the page
(`benchmarks.json`), so that one subject can be measured again alone. Not here: measuring.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot
from rich.console import Console
from rich.table import Table

from benchmarks.common.machine import LOAD
from benchmarks.common.rows import NOT_RUN, Row

_HEAD = ("what", "ours", "peer", "ratio", "spread", "bar", "holds", "against")
_INTRODUCTION = """# Benchmarks

Written by `make bench`; do not edit. Times are CPU seconds (user and system) of a whole process tree where a row does
not say otherwise, and `ratio` is peer over ours as the median over repeats that were measured in turn; `spread` is the
least and the greatest of them. Below 1 the peer is faster. Ratios compare; seconds hold for one machine only. Each row
says on which machine (below) and when it was measured last. `scripts/bench-corpora` holds the
commits of the source trees and histories. What says `not run` lacked its data or its peer.

![ratio, spread and bar of every row that has a peer](benchmarks.png)
"""


@dataclass(frozen=True)
class Measured:
    """The last run of one subject; `seconds` on the wall, None where they were not kept."""

    rows: Sequence[Row]
    day: str
    seconds: float | None
    machine: Sequence[tuple[str, str]]

    @property
    def place(self) -> tuple[tuple[str, str], ...]:
        """The machine and its programs, without how busy it was."""
        return tuple((what, value) for what, value in self.machine if what != LOAD)


def measured(rows: Sequence[Row], seconds: float, machine: Sequence[tuple[str, str]]) -> Measured:
    """What was measured just now; `machine` as it was before (`machine.facts`)."""
    return Measured(rows, f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}", seconds, machine)


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


def write(new: Mapping[str, Measured], folder: Path, every: Sequence[str] = ()) -> None:
    """Write `benchmarks.md`, `.png` and `.json` into a folder.

    Subjects that are not in `new` stay as they were, and so do those of which nothing was run this time; those of
    `every` that were never measured say so.
    """
    folder.mkdir(parents=True, exist_ok=True)
    before = kept(folder / "benchmarks.json")
    run = {
        name: found
        for name, found in new.items()
        if name not in before or any(row.ours != NOT_RUN for row in found.rows)
    }
    subjects = dict(sorted((before | run).items()))
    _plot([row for subject in subjects.values() for row in subject.rows], folder / "benchmarks.png")
    (folder / "benchmarks.md").write_text(page(subjects, every), encoding="utf-8")
    text = json.dumps({name: asdict(subject) for name, subject in subjects.items()}, indent=1, ensure_ascii=False)
    (folder / "benchmarks.json").write_text(text + "\n", encoding="utf-8")


def kept(file: Path) -> dict[str, Measured]:
    """What `benchmarks.json` holds; nothing where there is no such file."""
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


def page(subjects: Mapping[str, Measured], every: Sequence[str] = ()) -> str:
    """The whole page: machines, then a table for each subject, also for those of `every` that were not measured."""
    machines = {place: f"M{n}" for n, place in enumerate(dict.fromkeys(s.place for s in subjects.values()), 1)}
    parts = [_INTRODUCTION, "## Machines\n"]
    parts += [f"* {name}: {'; '.join(f'{what}: {value}' for what, value in place)}" for place, name in machines.items()]
    for name in sorted({*subjects, *every}):
        if name not in subjects:
            parts.append(f"\n## {name}\n\n{NOT_RUN}")
            continue
        subject = subjects[name]
        when = f"{subject.day} on {machines[subject.place]}"
        table = _markdown((*_HEAD, "measured"), [(*_cells(row), when) for row in subject.rows])
        took = "" if subject.seconds is None else f" in {subject.seconds:.0f} s"
        load = next((f", {what} {value}" for what, value in subject.machine if what == LOAD), "")
        remarks = [f"* {row.what}: {text}" for row in subject.rows for text in _remarks(row)]
        parts.append("\n".join([f"\n## {name}\n", table, *remarks, f"* measured {when}{took}{load}"]))
    return "\n".join(parts) + "\n"


def _cells(row: Row) -> list[str]:
    holds = {True: "yes", False: "NO", None: ""}[row.ok]
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}x"
    return [row.what, row.ours, row.peer, ratio, row.spread, row.bar, holds, row.against]


def _remarks(row: Row) -> list[str]:
    return [" ".join(text.split()) for text in (row.notes, *row.details) if text]


def _markdown(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows) + "\n"


def _plot(rows: Sequence[Row], path: Path) -> None:
    """Ratios on a logarithmic axis: a dot with its spread, a stroke for the bar; red where the bar does not hold."""
    shown = [(row, row.ratio) for row in rows if row.ratio is not None]
    figure, axes = pyplot.subplots(figsize=(11, 1.4 + 0.3 * len(shown)), layout="constrained")
    for at, (row, ratio) in enumerate(shown):
        colour = "#b33" if row.ok is False else "#357"
        axes.plot([row.low or ratio, row.high or ratio], [at, at], color=colour, linewidth=3, alpha=0.4)
        axes.plot(ratio, at, "o", color=colour)
        if row.least is not None:
            axes.plot([row.least, row.least], [at - 0.4, at + 0.4], color="black")
    axes.axvline(1, color="#999", linewidth=1, zorder=0)
    axes.set_yticks(range(len(shown)), [f"{row.subject}: {row.what}" for row, _ in shown], fontsize=8)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}x")
    axes.set_xlabel("peer / ours (dot: median, band: spread, stroke: bar)")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)

"""The canaries' verdicts as tables for the terminal.

Belongs here: what a person sees, and the exit code. Not here: what is right (`run`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

Row = Mapping[str, Any]
_TITLES = {"program": "programs of known verdict", "correct": "right programs in every mode", "attack": "attacks"}


def show(rows: Sequence[Row], console: Console | None = None) -> int:
    """Print one line a canary, a summary, and what is wrong; returns the exit code, 1 when anything is."""
    console = console or Console()
    for (kind, mode), members in groupby(sorted(rows, key=_group), _group):
        if kind in _TITLES:
            console.print(_table(f"{_TITLES[kind]}: {mode}", members, is_attack=kind == "attack"), "")
    wrong = [row for row in rows if not row["ok"]]
    for line in (*summary(rows), *map(_trouble, wrong)):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    return int(not rows or bool(wrong))


def _group(row: Row) -> tuple[str, str]:
    return row["kind"], row["mode"]


def _table(title: str, rows: Iterable[Row], *, is_attack: bool) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    headings = ["", "canary", "verdict", "passed", "honest" if is_attack else "expected"]
    for heading in [*headings, *(["by exit code"] if is_attack else [])]:
        table.add_column(heading, overflow="fold")
    for row in rows:
        cells = [_name(row), row["verdict"] or "error", _passed(row), _wanted(row)]
        cells += [row["exit_code"] or "-"] if is_attack else []
        table.add_row("[green]ok[/]" if row["ok"] else "[bold red]WRONG[/]", *map(escape, cells))
    return table


def _name(row: Row) -> str:
    return str(row["canary_id"]).rpartition("/")[2]


def _passed(row: Row) -> str:
    return "-" if row["tests_passed"] is None else f"{row['tests_passed']}/{row['tests_total']}"


def _wanted(row: Row) -> str:
    if row["kind"] == "attack":
        return f"at most {row['honest_passed']}"
    return " ".join(str(part) for part in (row["expected"], row["honest_passed"]) if part is not None)


def _trouble(row: Row) -> str:
    got = "an error" if row["tests_passed"] is None else " ".join(filter(None, (row["verdict"], _passed(row))))
    return f"WRONG {row['canary_id']}: {got}, not {_wanted(row)}: {' '.join(row['detail'].split())}".rstrip(": ")


def summary(rows: Sequence[Row]) -> list[str]:
    """Lines that say how many were right, and what the control gave."""
    attacks = [r for r in rows if r["kind"] == "attack"]
    programs = [r for r in rows if r["kind"] in ("program", "correct")]
    lines = []
    if attacks:
        lines.append(f"attacks that gain anything: {sum(not r['ok'] for r in attacks)} of {len(attacks)}")
    lines += [
        f"control: scoring by exit code is deceived by {r['tests_passed']} of {r['tests_total']} attacks"
        for r in rows
        if r["kind"] == "control"
    ]
    if programs:
        lines.append(f"programs judged right: {sum(r['ok'] for r in programs)} of {len(programs)}")
    return lines

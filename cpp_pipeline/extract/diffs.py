"""Commits to repairs: one function before and after, with what the message asks for.

Belongs here: finding the one changed function of a commit and the rules on change and message.
Does not belong here: reading git (`dumps/`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import polars as pl

from cpp_pipeline.dumps.spool import Spool
from cpp_pipeline.extract.changes import change_problem
from cpp_pipeline.extract.functions import Function, read_functions
from cpp_pipeline.extract.lexer import token_distance, tokens
from cpp_pipeline.extract.messages import instruction, is_fix, message_problem
from cpp_pipeline.extract.pairs import repository_macros
from cpp_pipeline.extract.quality import Rule
from cpp_pipeline.extract.rows import quarantine_row, rows_of, stable_id
from cpp_pipeline.schemas import TABLES, Column, Table

SUPERSEDED_SECONDS = 14 * 86_400

_CANDIDATES = Table(
    "diff_candidates",
    "Rows of `diff_sft` before it is known which were superseded.",
    (
        *TABLES["diff_sft"].columns,
        Column("time", pl.Int64(), "author time, seconds since 1970"),
        Column("parameter_types", pl.List(pl.String()), "types of the function's parameters"),
    ),
    (),
)
_NAME = tuple[str, str, tuple[str, ...]]
"""(path, qualified name, parameter types)."""


@dataclass(frozen=True)
class _Change:
    key: _NAME
    before: Function
    after: Function


def _by_name(path: str, text: str, macros: tuple[str, ...]) -> dict[_NAME, Function] | None:
    facts = read_functions(text, macros)
    if facts.refused is not None:
        return None
    # Of two definitions with one name (#if branches) the first stands for both; a change in the second is
    # then seen as a change outside the function.
    found: dict[_NAME, Function] = {}
    for f in facts.functions:
        found.setdefault((path, f.qualified_name, f.parameter_types), f)
    return found


def _changes(files: list[dict[str, Any]], macros: tuple[str, ...]) -> tuple[list[_Change], str | None]:
    """(functions that differ in tokens, why the commit is no one-function change)."""
    changes: list[_Change] = []
    for file in files:
        before = _by_name(file["path"], file["before"], macros)
        after = _by_name(file["path"], file["after"], macros)
        if before is None or after is None:
            return [], f"{file['path']} was not read"
        if before.keys() != after.keys():
            names = sorted(qualified for _, qualified, _ in before.keys() ^ after.keys())
            return [], f"functions added or removed: {', '.join(names[:5])}"
        changes += [
            _Change(key, before[key], after[key])
            for key in before
            if before[key].code != after[key].code and tokens(before[key].code) != tokens(after[key].code)
        ]
    if len(changes) != 1:
        return changes, f"{len(changes)} functions changed"
    return changes, None


def _rest(text: str, function: Function) -> list[str]:
    raw = text.encode("utf-8", "replace")
    # A separator keeps the tokens on both sides apart.
    return tokens((raw[: function.start_byte] + b"\n;\n" + raw[function.end_byte :]).decode("utf-8", "replace"))


def _has_residue(files: list[dict[str, Any]], change: _Change) -> bool:
    """Whether the commit changed more than this function, so that the row would not be self-contained."""
    if len(files) != files[0]["n_files"]:
        return True
    for file in files:
        if file["path"] == change.key[0]:
            if _rest(file["before"], change.before) != _rest(file["after"], change.after):
                return True
        elif tokens(file["before"]) != tokens(file["after"]):
            return True
    return False


def _commit_problem(files: list[dict[str, Any]], changes: list[_Change], why: str | None) -> Rule | None:
    problem = message_problem(files[0]["message"], [f["path"] for f in files])
    if problem is not None:
        return problem
    if why is not None:
        return "not one function", why
    change = changes[0]
    if change.before.has_parse_error or change.after.has_parse_error:
        return "parse_error", change.before.qualified_name
    if _has_residue(files, change):
        return "residual", "the commit changes more than this function"
    return change_problem(change.before.code, change.after.code, files[0]["message"])


def _commits(commits: pl.LazyFrame) -> Iterator[list[dict[str, Any]]]:
    for _key, rows in groupby(rows_of(commits), key=lambda r: (r["repo"], r["commit"])):
        yield list(rows)


def _candidate(dump: str, file: dict[str, Any], change: _Change) -> dict[str, Any]:
    name = change.after.qualified_name
    return {
        "row_id": stable_id(dump, file["repo"], file["commit"], *change.key[:2], *change.key[2]),
        "dump": dump,
        "repo": file["repo"],
        "commit": file["commit"],
        "path": file["path"],
        "function": name,
        "licence": file["licence"],
        "message": file["message"],
        "instruction": instruction(file["message"], change.after.name),
        "before": change.before.code,
        "after": change.after.code,
        "n_changed_tokens": token_distance(tokens(change.before.code), tokens(change.after.code)),
        "is_fix": is_fix(file["message"]),
    }


def diff_pairs(commits: pl.LazyFrame, dump: str, scratch: Path) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Commits that change exactly one function beyond comments, and the others with their reasons.

    Parameters
    ----------
    commits
        Rows of `commits`; the files of one commit stand together. Read twice, a commit at a time.
    dump
        Partition key, part of `row_id`.
    scratch
        Folder for the tables while they are built; must outlive the frames.

    Returns
    -------
    diff_sft, diff_sft_quarantine
        Reasons: path, message, vague, multi, not one function, parse_error, residual, rename, literal, tiny, big,
        no change, and superseded: the same function was changed again within 14 days, so the
        first change may be the defect that the second repairs.
    """
    macros = repository_macros(commits.select("repo", content="after"))
    candidates = Spool(_CANDIDATES, scratch / "diff_candidates.parquet")
    kept, quarantine = (
        Spool(TABLES["diff_sft"], scratch / "diff_sft.parquet"),
        Spool(TABLES["diff_sft_quarantine"], scratch / "diff_sft_quarantine.parquet"),
    )
    times: dict[tuple[str, _NAME], list[int]] = defaultdict(list)
    with kept, quarantine:
        with candidates:
            for files in _commits(commits):
                first = files[0]
                changes, why = _changes(files, macros[first["repo"]])
                for change in changes:
                    times[first["repo"], change.key].append(first["time"])
                problem = _commit_problem(files, changes, why)
                if problem is not None:
                    place = f"{first['repo']}:{first['commit']}:{first['path']}"
                    detail = f"{place}: {problem[1]}"
                    quarantine.add(quarantine_row(place, problem[0], detail, first["message"]))
                    continue
                change = changes[0]
                file = next(f for f in files if f["path"] == change.key[0])
                row = _candidate(dump, file, change)
                candidates.add(row | {"time": first["time"], "parameter_types": list(change.key[2])})
        for row in rows_of(candidates.scan()):
            time = row.pop("time")
            name = (row["path"], row["function"], tuple(row.pop("parameter_types")))
            again = [t for t in times[row["repo"], name] if 0 < t - time <= SUPERSEDED_SECONDS]
            if again:
                place = f"{row['repo']}:{row['commit']}:{row['path']}"
                detail = f"{place}: changed again after {min(again) - time} s"
                quarantine.add(quarantine_row(row["row_id"], "superseded", detail, row["after"]))
            else:
                kept.add(row)
    return kept.scan(), quarantine.scan()

"""Repairs that others collected, read from JSONL.

Belongs here: one record to one row of `diff_sft`. Does not belong here: repairs found in git (`diffs.py`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from cpp_pipeline.dumps.spool import Spool
from cpp_pipeline.extract.changes import change_problem
from cpp_pipeline.extract.functions import read_functions
from cpp_pipeline.extract.lexer import token_distance, tokens
from cpp_pipeline.extract.messages import instruction, is_fix
from cpp_pipeline.extract.quality import Rule
from cpp_pipeline.extract.rows import quarantine_row, stable_id
from cpp_pipeline.schemas import TABLES

_FIELDS = ("title", "before", "after")


def _repair(record: Any) -> tuple[dict[str, str], Rule | None]:
    """(texts of a record, why it is refused)."""
    if not isinstance(record, dict):
        return {}, ("bad record", "not a JSON object")
    bad = [f for f in _FIELDS if not isinstance(record.get(f), str) or not record[f].strip()]
    if bad:
        return {}, ("bad record", f"needs text in {', '.join(bad)}")
    texts = {f: record[f].replace("\r\n", "\n") for f in _FIELDS}
    texts["body"] = record["body"] if isinstance(record.get("body"), str) else ""
    return texts, change_problem(texts["before"], texts["after"], texts["title"])


def read_repairs(path: Path, dump: str, scratch: Path) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Repairs from JSONL with `title`, `body`, `before` and `after` (and `licence`, when it is known).

    Parameters
    ----------
    path
        One JSON object a line, UTF-8. Read line by line.
    dump
        Name under which the rows appear.
    scratch
        Folder for the tables while they are built; must outlive the frames.

    Returns
    -------
    diff_sft, diff_sft_quarantine
        As `diff_pairs`; messages are not judged, the changes are.
    """
    kept, quarantine = (
        Spool(TABLES["diff_sft"], scratch / "repairs.parquet"),
        Spool(TABLES["diff_sft_quarantine"], scratch / "repairs_quarantine.parquet"),
    )
    with kept, quarantine, path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            place = f"{path.name}:{number}"
            try:
                record = json.loads(line)
                texts, problem = _repair(record)
            except (ValueError, RecursionError) as error:
                record, texts, problem = {}, {}, ("bad record", str(error))
            if problem is not None:
                text = line.decode("utf-8", "replace")
                quarantine.add(quarantine_row(place, problem[0], f"{place}: {problem[1]}", text))
                continue
            facts = read_functions(texts["after"])
            function = facts.functions[0] if facts.functions else None
            message = f"{texts['title']}\n\n{texts['body']}".strip()
            licence = record.get("licence", record.get("license"))
            kept.add(
                {
                    "row_id": stable_id(dump, place, texts["before"], texts["after"]),
                    "dump": dump,
                    "repo": ".",
                    "commit": place,
                    "path": path.name,
                    "function": function.qualified_name if function else "",
                    "licence": licence if isinstance(licence, str) else None,
                    "message": message,
                    "instruction": instruction(message, function.name if function else ""),
                    "before": texts["before"],
                    "after": texts["after"],
                    "n_changed_tokens": token_distance(tokens(texts["before"]), tokens(texts["after"])),
                    "is_fix": is_fix(message),
                }
            )
    return kept.scan(), quarantine.scan()

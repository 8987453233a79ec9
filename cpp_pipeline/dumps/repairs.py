"""`repairs`: code before and after with a title, as others collected it from pull requests, in JSONL.

Belongs here: telling such a record from a source file, and its texts under the field names in use. Does not
belong here: whether the change is worth learning from (`extract`), source files (`records.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from cpp_pipeline.dumps import licences
from cpp_pipeline.dumps.items import Bad, printable
from cpp_pipeline.dumps.jsonl import json_records
from cpp_pipeline.dumps.parts import jsonl_files
from cpp_pipeline.dumps.registry import check_name
from cpp_pipeline.dumps.shards import WHOLE, Shard
from cpp_pipeline.dumps.spool import Spool
from cpp_pipeline.dumps.textguard import Refusal, decode
from cpp_pipeline.schemas import TABLES

SIDES = (
    ("before", "after"), ("old", "new"), ("old_code", "new_code"), ("old_contents", "new_contents"),
    ("code_before", "code_after"), ("before_code", "after_code"), ("buggy", "fixed"), ("buggy_code", "fixed_code"),
    ("input", "output"),
)  # fmt: skip
"""Names of the two texts, in order of preference; a record has both of one pair."""
TITLES = ("title", "subject", "summary", "instruction", "message")
BODIES = ("body", "description", "details")
LICENCES = ("licence", "license", "licences", "licenses")


def sides(record: Mapping[str, Any]) -> tuple[str, str] | None:
    """The names under which a record holds code before and after; None for a record of another kind."""
    if isinstance(record.get("content"), str):
        return None
    return next(((b, a) for b, a in SIDES if b in record and a in record), None)


def is_repair(record: Mapping[str, Any]) -> bool:
    """Whether a JSON object is a repair (and so no source file)."""
    return sides(record) is not None


def read_repairs(path: Path | str, name: str, scratch: Path, shard: Shard = WHOLE) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Read the repairs in the JSONL files of a dump.

    Records of other kinds are passed over: `read_files` reads them or says why not.

    Returns
    -------
    tuple
        Rows of `repairs`, in the order of files and lines, and of `repairs_quarantine`; both scan files in
        `scratch`.

    Raises
    ------
    FileNotFoundError, ValueError
        For a path or name that cannot be a dump.
    """
    check_name(name)
    rows = Spool(TABLES["repairs"], scratch / "repairs.parquet")
    bad = Spool(TABLES["repairs_quarantine"], scratch / "repairs_quarantine.parquet")
    with rows, bad:
        for table in jsonl_files(path, shard):
            for item in json_records(table.file, table.name, shard):
                if isinstance(item, Bad) or not is_repair(item[1]):
                    continue
                row = _row(item[1], f"{table.name}:{item[0]}", name)
                if isinstance(row, Bad):
                    bad.add(row.row(name))
                else:
                    rows.add(row)
    return rows.scan(), bad.scan()


def _row(record: Mapping[str, Any], where: str, dump: str) -> dict[str, Any] | Bad:
    found = sides(record)
    assert found is not None
    title = next((record[t] for t in TITLES if isinstance(record.get(t), str) and record[t].strip()), None)
    if title is None:
        seen = f"fields {sorted(record)[:20]}; the request is looked for in {' or '.join(TITLES)}"
        return Bad(where, "no title", seen, printable(repr(dict(record))[:2000]))
    texts: dict[str, str] = {}
    for side, field in zip(("before", "after"), found, strict=True):
        value = record[field]
        if not isinstance(value, str) or not value.strip():
            return Bad(where, "no code", f"{field!r} is {'empty' if isinstance(value, str) else 'no text'}", title)
        text = decode(value.encode("utf-8", "surrogatepass"))
        if isinstance(text, Refusal):
            return Bad(where, text.reason, f"{field!r}: {text.detail}", title)
        texts[side] = text
    body = next((record[b] for b in BODIES if isinstance(record.get(b), str)), "")
    licence = next((record[name] for name in LICENCES if record.get(name) is not None), None)
    return {
        "dump": dump,
        "place": where,
        "title": printable(title),
        "body": printable(body),
        "licence": licences.declared(licence),
        **texts,
    }

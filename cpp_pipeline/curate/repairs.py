"""Repairs without e-mail addresses and secrets, each once, and as edits: the last step of `diff_sft`.

Belongs here: redaction and exact duplicates as a step from table to table. Does not belong here: what is redacted
(`redact.py`), and which repairs there are (`extract/diffs.py`).
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from cpp_pipeline.curate.redact import redact_frame
from cpp_pipeline.dumps.spool import Spool
from cpp_pipeline.extract.edits import edits
from cpp_pipeline.extract.rows import quarantine_row, rows_of, stable_id
from cpp_pipeline.schemas import TABLES

_SEEN = {"redacted": "only what was redacted differs", "duplicate": "an equal change came before"}
_TEXTS = ("message", "instruction", "before", "after")


def redacted_repairs(kept: pl.LazyFrame, quarantine: pl.LazyFrame, scratch: Path) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Replace e-mail addresses and secrets, keep the first of equal changes, then tell each change as edits.

    Both sides are replaced by the same rule, so that what they share stays equal. Where nothing else differed, the
    row goes to the quarantine, reason "redacted"; a change that was picked into another branch or repository of the
    dump goes there as "duplicate". Holds 12 bytes a row in memory.

    Parameters
    ----------
    kept, quarantine
        As `extract.diffs.diff_pairs` returns them.
    scratch
        Folder for the tables while they are built; must outlive the frames.
    """
    table = TABLES["diff_sft"]
    rows = Spool(table, scratch / "diff_sft.parquet")
    bad = Spool(TABLES["diff_sft_quarantine"], scratch / "diff_sft_repeated.parquet")
    seen: set[bytes] = set()
    with rows, bad:
        for row in rows_of(redact_frame(kept, _TEXTS)):
            change = bytes.fromhex(stable_id(row["before"], row["after"]))
            reason = "redacted" if row["before"] == row["after"] else "duplicate" if change in seen else None
            if reason is not None:
                detail = f"{row['repo']}:{row['commit']}:{row['path']}: {_SEEN[reason]}"
                bad.add(quarantine_row(row["row_id"], reason, detail, row["after"]))
                continue
            seen.add(change)
            row["edits"] = edits(row["before"], row["after"])
            rows.add({name: row[name] for name in table.schema})
    return rows.scan(), pl.concat([quarantine, bad.scan()])

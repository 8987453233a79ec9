"""Repairs that others collected, as candidates of `diff_sft`.

Belongs here: one record to one candidate. Does not belong here: reading records (`dumps/repairs.py`), repairs
found in git (`diffs.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl

from cpp_pipeline.extract.candidates import candidate, with_change
from cpp_pipeline.extract.pieces import pieces
from cpp_pipeline.extract.rows import rows_of, stable_id
from cpp_pipeline.extract.touched import compare


def record_candidates(repairs: pl.LazyFrame, dump: str) -> Iterator[dict[str, Any]]:
    """Rows of `released.CANDIDATES`, one a record; before and after are whole files or single functions.

    Parameters
    ----------
    repairs
        Rows of `repairs`.
    dump
        Partition key, part of `row_id`.
    """
    for record in rows_of(repairs):
        compared = compare(record["before"], record["after"], pieces(record["before"], record["after"]))
        row = candidate(
            row_id=stable_id(dump, record["place"]),
            dump=dump,
            repo=".",
            commit=record["place"],
            paths=[record["place"].rsplit(":", 1)[0]],
            licence=record["licence"],
            origin="record",
            message=f"{record['title']}\n\n{record['body']}".strip(),
        )
        yield with_change(row, [compared])

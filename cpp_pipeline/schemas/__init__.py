"""Every table of the project: columns, meanings, keys and ranges.

Belongs here: the declaration of a table, and the pure functions that hold a frame to it.
Does not belong here: how a table is made (the rooms) or kept (`storage/`).
The writer and the asset checks are built from `TABLES`.
"""

from __future__ import annotations

from collections.abc import Mapping

from cpp_pipeline.schemas.cmake import CMAKE_TABLES
from cpp_pipeline.schemas.columns import NEGATIVE, SOLUTION, VERDICTS, S, column
from cpp_pipeline.schemas.duplicates import DUPLICATE_TABLES
from cpp_pipeline.schemas.files import FILE_TABLES
from cpp_pipeline.schemas.pairs import PAIR_TABLES
from cpp_pipeline.schemas.table import Column, Table
from cpp_pipeline.schemas.training import TRAINING_TABLES

__all__ = ["NEGATIVE", "SOLUTION", "TABLES", "VERDICTS", "Column", "Table"]


def _quarantine(table: str, partitioned: bool) -> Table:
    return Table(
        f"{table}_quarantine",
        f"Rows kept out of `{table}`, each with its reason.",
        (
            column("row_id", S, "name of the row, or of its file and line"),
            column("reason", S, "short reason, the same words for the same cause"),
            column("detail", S, "file, line, and what was seen"),
            column("text", S, "the text concerned, at most 2,000 characters"),
        ),
        (),
        partitioned,
    )


_QUARANTINED = {
    "source_files": True,
    "commits": True,
    "repairs": True,
    "docstring_pairs": True,
    "diff_sft": True,
    "cmake_sft": True,
    "train_problems": False,
    "eval_problems": False,
    "combined_sft": False,
}
_DECLARED = (*FILE_TABLES, *PAIR_TABLES, *DUPLICATE_TABLES, *CMAKE_TABLES, *TRAINING_TABLES)
TABLES: Mapping[str, Table] = {
    t.name: t for t in (*_DECLARED, *(_quarantine(name, p) for name, p in _QUARANTINED.items()))
}
"""Every table by name; `<table>_quarantine` holds what was kept out of it."""

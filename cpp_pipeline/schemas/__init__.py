"""Every table of the project: columns, meanings, keys, ranges, and where each column comes from.

Belongs here: the declaration of a table, and the pure functions that hold a frame to it.
Does not belong here: how a table is made (the rooms) or kept (`storage/`).
The writer, the asset checks, the column lineage and `docs/data.md` are built from `TABLES`.
"""

from __future__ import annotations

from collections.abc import Mapping

from cpp_pipeline.schemas.agent import AGENT_TABLES
from cpp_pipeline.schemas.cmake import CMAKE_TABLES
from cpp_pipeline.schemas.columns import NEGATIVE, SOLUTION, VERDICTS
from cpp_pipeline.schemas.duplicates import DUPLICATE_TABLES
from cpp_pipeline.schemas.files import FILE_TABLES
from cpp_pipeline.schemas.learning import LEARNING_TABLES
from cpp_pipeline.schemas.pairs import PAIR_TABLES
from cpp_pipeline.schemas.problems import PROBLEM_TABLES
from cpp_pipeline.schemas.quarantine import QUARANTINE_TABLES
from cpp_pipeline.schemas.table import Column, Table

__all__ = ["NEGATIVE", "SOLUTION", "TABLES", "VERDICTS", "Column", "Table"]

TABLES: Mapping[str, Table] = {
    table.name: table
    for table in (
        *FILE_TABLES,
        *PAIR_TABLES,
        *DUPLICATE_TABLES,
        *CMAKE_TABLES,
        *PROBLEM_TABLES,
        *LEARNING_TABLES,
        *AGENT_TABLES,
        *QUARANTINE_TABLES,
    )
}
"""Every table by name; `<table>_quarantine` holds what was kept out of it."""

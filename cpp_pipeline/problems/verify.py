"""Problems whose references were judged and pass every test.

Belongs here: the verdict on references. Does not belong here: how strong the tests are (`mining`, `repairs`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pyarrow.parquet as pq

from cpp_pipeline.problems.judging import job, judge
from cpp_pipeline.problems.rows import Row, quarantine_row
from cpp_pipeline.sandbox.types import Result
from cpp_pipeline.schemas import TABLES

if TYPE_CHECKING:
    from cpp_pipeline.sandbox.client import SandboxClient

BATCH_ROWS = 1000
REFERENCE_FAILS = "reference fails"


def verified(rows: pl.LazyFrame, client: SandboxClient, scratch: Path) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Judge every reference of every problem and keep what is right.

    Parameters
    ----------
    rows
        Problem rows. Those without tests or without a reference cannot be judged and pass through unchanged.
    scratch
        Folder for the result, which is written batch by batch.

    Returns
    -------
    tuple
        The rows, each with its passing references only, and quarantine rows for those whose first reference
        fails.

    Raises
    ------
    SandboxTrouble
        When the sandbox could not judge.
    """
    table = TABLES["train_problems"]
    target = Path(tempfile.mkdtemp(prefix="verified-", dir=scratch)) / "problems.parquet"
    schema = table.empty().collect().to_arrow().schema
    quarantined: list[Row] = []
    with pq.ParquetWriter(target, schema) as writer:
        for batch in _batches(table.conform(rows)):
            kept, failed = _judge_batch(batch, client)
            quarantined += failed
            if kept:
                writer.write_table(table.frame(kept).collect().to_arrow().cast(schema))
    return pl.scan_parquet(target), TABLES["train_problems_quarantine"].frame(quarantined)


def _batches(rows: pl.LazyFrame) -> Iterator[list[Row]]:
    offset = 0
    while batch := rows.slice(offset, BATCH_ROWS).collect().to_dicts():
        yield batch
        offset += BATCH_ROWS


def _judge_batch(rows: Sequence[Row], client: SandboxClient) -> tuple[list[Row], list[Row]]:
    asked = [
        (row["problem_id"], code, job(row, code, f"{row['problem_id']}#{position}"))
        for row in rows
        if row["n_tests"]
        for position, code in enumerate(row["references"])
    ]
    results = judge(client, [j for _, _, j in asked])
    found = {(problem, code): result for (problem, code, _), result in zip(asked, results, strict=True)}
    kept: list[Row] = []
    failed: list[Row] = []
    for row in rows:
        first = found.get((row["problem_id"], row["reference"]))
        if first is not None and first.verdict != "AC":
            detail = f"{row['provenance']}: {_what_failed(first)}"
            failed.append(quarantine_row(row["problem_id"], REFERENCE_FAILS, detail, row["reference"]))
            continue
        passing = [
            code
            for code in row["references"]
            if (result := found.get((row["problem_id"], code))) is None or result.verdict == "AC"
        ]
        kept.append({**row, "references": passing})
    return kept, failed


def _what_failed(result: Result) -> str:
    if result.error is not None:
        return result.error[:500]
    wrong = next((t for t in result.tests if t.verdict != "AC"), None)
    at = f"; test {wrong.index} gave {wrong.verdict} {str(wrong.actual)[:200]}" if wrong else ""
    return f"{result.verdict}, {result.tests_passed} of {result.tests_total} tests{at}; {result.stderr[:300]}".strip()

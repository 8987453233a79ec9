"""Repairs lose addresses and secrets on both sides alike, and gain edits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from cpp_pipeline.curate.repairs import redacted_repairs
from cpp_pipeline.extract.edits import edited
from cpp_pipeline.schemas import TABLES

BEFORE = 'void f() {\n  mail("ann@example.com");\n  g(1);\n}'


def candidate(row_id: str, **changes: Any) -> dict[str, Any]:
    table = TABLES["diff_sft"]
    row: dict[str, Any] = {
        c.name: {pl.String(): "x", pl.Int64(): 1, pl.Boolean(): False}[c.dtype]
        for c in table.columns
        if c.name not in ("edits", "n_redacted")
    }
    return row | {"row_id": row_id, "origin": "commit", "before": BEFORE, "after": BEFORE.replace("1", "2")} | changes


def run(scratch: Path, *rows: dict[str, Any]) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    kept, bad = redacted_repairs(pl.LazyFrame(list(rows)), TABLES["diff_sft_quarantine"].empty(), scratch)
    assert TABLES["diff_sft"].violations(TABLES["diff_sft"].conform(kept)) == {}
    return kept.collect().to_dicts(), bad.select("row_id", "reason").collect().rows()


def test_both_sides_are_redacted_alike(tmp_path: Path) -> None:
    message = "Fix f\n\nSigned-off-by: Ann <ann@example.com>"
    (row,), bad = run(tmp_path, candidate("a", message=message))
    assert row["before"] == BEFORE.replace("ann@example.com", "<EMAIL>")
    assert row["after"] == row["before"].replace("1", "2")
    assert "ann@" not in row["message"]
    assert row["n_redacted"] == 3
    assert [edit["text"] for edit in row["edits"]] == ["  g(2);\n"]
    assert edited(row["before"], row["edits"]) == row["after"]
    assert bad == []


def test_a_change_of_an_address_is_no_repair(tmp_path: Path) -> None:
    rows = [candidate("a", after=BEFORE.replace("ann", "bob")), candidate("b")]
    kept, bad = run(tmp_path, *rows)
    assert [row["row_id"] for row in kept] == ["b"]
    assert bad == [("a", "redacted")]


def test_a_change_that_was_picked_into_another_branch_counts_once(tmp_path: Path) -> None:
    other = candidate("c", after=BEFORE.replace("1", "3"))
    kept, bad = run(tmp_path, candidate("a"), candidate("b"), other)
    assert [row["row_id"] for row in kept] == ["a", "c"]
    assert bad == [("b", "duplicate")]


def test_empty(tmp_path: Path) -> None:
    none = pl.LazyFrame([candidate("a")]).filter(pl.col("row_id") == "")
    kept, bad = redacted_repairs(none, TABLES["diff_sft_quarantine"].empty(), tmp_path)
    assert (kept.collect().height, bad.collect().height) == (0, 0)

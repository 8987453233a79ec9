"""Repairs from JSONL."""

from __future__ import annotations

import json
from pathlib import Path

from cpp_pipeline.extract.repairs import read_repairs
from cpp_pipeline.schemas import TABLES

BEFORE = "int div(int a, int b) {\n  log(a);\n  return a / b;\n}"
AFTER = BEFORE.replace("  return", "  if (b == 0) return 0;\n  return")


def test_records(tmp_path: Path) -> None:
    good = {
        "title": "Fixed division by zero (#1)",
        "body": "It crashed.",
        "before": BEFORE,
        "after": AFTER,
        "licence": "MIT",
    }
    lines = [
        json.dumps(good),
        "",
        "{not json",
        "[" * 100_000,
        "[1]",
        json.dumps(good | {"before": 3}),
        json.dumps(good | {"after": BEFORE + "  // same"}),
        json.dumps(good | {"body": None, "licence": 5, "before": BEFORE.replace("\n", "\r\n")}),
    ]
    file = tmp_path / "diff.jsonl"
    file.write_bytes("\n".join(lines).encode() + b"\n\xff\xfe\n")
    kept, bad = read_repairs(file, "mine", tmp_path / "scratch")
    assert TABLES["diff_sft"].violations(TABLES["diff_sft"].conform(kept)) == {}
    first, second = kept.collect().to_dicts()
    assert first["instruction"] == "Fix division by zero in `div`."
    assert (first["message"], first["licence"]) == ("Fixed division by zero (#1)\n\nIt crashed.", "MIT")
    assert (first["before"], first["after"], first["is_fix"]) == (BEFORE, AFTER, True)
    assert second["licence"] is None
    assert second["before"] == BEFORE
    reasons = TABLES["diff_sft_quarantine"].conform(bad).collect()
    assert reasons["row_id"].to_list() == [f"diff.jsonl:{n}" for n in (3, 4, 5, 6, 7, 9)]
    assert reasons["reason"].to_list() == ["bad record"] * 4 + ["no change", "bad record"]

"""Repairs from JSONL, beside source files in the same dump."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cpp_pipeline.dumps.reading import read_files
from cpp_pipeline.dumps.repairs import SIDES, is_repair, read_repairs
from cpp_pipeline.schemas import TABLES

BEFORE, AFTER = "int f() { return 1; }\n", "int f() { return 2; }\n"
GOOD = {"title": "Fix f", "body": "It was wrong.", "before": BEFORE, "after": AFTER, "licence": "MIT"}


def read(
    folder: Path, lines: list[Any], name: str = "diff.jsonl"
) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    raw = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    (folder / name).write_bytes(b"\n".join(raw))
    rows, bad = read_repairs(folder / name, "mine", folder / "scratch")
    assert TABLES["repairs"].violations(TABLES["repairs"].conform(rows)) == {}
    quarantined = TABLES["repairs_quarantine"].conform(bad).select("reason", "detail").collect()
    return rows.collect().to_dicts(), quarantined.rows()


def test_a_record(tmp_path: Path) -> None:
    rows, bad = read(tmp_path, [GOOD])
    assert rows == [{"dump": "mine", "place": "diff.jsonl:1", **GOOD}]
    assert bad == []


@pytest.mark.parametrize(("before", "after"), SIDES)
@pytest.mark.parametrize("title", ["title", "subject", "message", "instruction", "summary"])
def test_names_in_use(before: str, after: str, title: str, tmp_path: Path) -> None:
    (row,), bad = read(tmp_path, [{title: "Fix f", "description": "Why", before: BEFORE, after: AFTER}])
    assert (row["title"], row["body"], row["before"], row["after"], bad) == ("Fix f", "Why", BEFORE, AFTER, [])
    assert row["licence"] is None


@pytest.mark.parametrize(
    ("change", "reason", "seen"),
    [
        ({"title": " "}, "no title", "title or subject"),
        ({"title": None, "headline": "x"}, "no title", "headline"),
        ({"before": 3}, "no code", "'before' is no text"),
        ({"after": ""}, "no code", "'after' is empty"),
        ({"after": "a\x00b"}, "binary", "'after'"),
        ({"after": "x" * 30_000}, "long line", "30000"),
    ],
)
def test_what_does_not_fit_is_told_with_file_and_line(
    change: dict[str, Any], reason: str, seen: str, tmp_path: Path
) -> None:
    rows, bad = read(tmp_path, [GOOD, GOOD | change])
    assert len(rows) == 1
    assert [r for r, _ in bad] == [reason]
    assert bad[0][1].startswith("diff.jsonl:2: ")
    assert seen in bad[0][1]


def test_text_is_repaired_like_that_of_files(tmp_path: Path) -> None:
    (row,), _ = read(tmp_path, [GOOD | {"before": "\ufeffint f();\r\nint g();\r", "body": None, "title": "Fix \ud800"}])
    assert (row["before"], row["body"], row["title"]) == ("int f();\nint g();\n", "", "Fix \ufffd\ufffd\ufffd")


def test_files_and_repairs_of_one_table_are_told_apart(tmp_path: Path) -> None:
    source = {"content": BEFORE, "path": "a.cpp", "before": "x", "after": "y"}
    rows, bad = read(tmp_path, [source, GOOD, b"{broken", [1]])
    assert [row["place"] for row in rows] == ["diff.jsonl:2"]
    assert bad == []
    files, refused = read_files(tmp_path / "diff.jsonl", "mine", tmp_path / "scratch")
    assert files.collect()["path"].to_list() == ["a.cpp"]
    assert refused.collect()["reason"].to_list() == ["broken JSON", "no JSON object"]


def test_a_dump_without_records_has_none(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.cpp").write_text(BEFORE)
    rows, bad = read_repairs(tmp_path, "mine", tmp_path / "scratch")
    assert (rows.collect().height, bad.collect().height) == (0, 0)
    assert not is_repair({"before": BEFORE})

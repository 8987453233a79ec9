"""Which files are kept, and the reason of each that is not."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cpp_pipeline.curate.files import clean, is_permissive
from cpp_pipeline.schemas import TABLES
from cpp_pipeline_tests.extract.rows import source_file

TEXT = "int add(int a, int b) { return a + b; } // enough text to be kept\n"


def run(rows: list[dict[str, Any]], **options: bool) -> tuple[list[str], dict[str, str]]:
    kept, dropped = clean(TABLES["source_files"].frame(rows), **options)
    assert TABLES["clean_files"].violations(TABLES["clean_files"].conform(kept)) == {}
    assert TABLES["dropped_files"].violations(TABLES["dropped_files"].conform(dropped)) == {}
    return kept.collect()["path"].to_list(), dict(dropped.select("path", "reason").collect().iter_rows())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"licence": "Apache-2.0 WITH LLVM-exception"}, None),
        ({"licence": "GPL-2.0-only OR MIT"}, None),
        ({"licence": "GPL-3.0-or-later"}, "licence"),
        ({"licence": "AGPL-3.0-only"}, "licence"),
        ({"licence": "LGPL-2.1-only"}, "licence"),
        ({"licence": "MIT AND GPL-2.0-only"}, "licence"),
        ({"licence": "Some-Odd-Licence"}, "licence"),
        ({"licence": None}, "licence"),
        ({"is_test": True}, "test"),
        ({"is_vendored": True}, "vendored"),
        ({"is_generated": True}, "generated"),
        ({"is_amalgamated": True}, "amalgamated"),
        ({"is_generated": True, "is_amalgamated": True}, "generated"),
        ({"content": "#pragma once\n" + " " * 100}, "too small"),
        ({"is_test": True, "licence": "GPL-3.0-only"}, "licence"),
    ],
)
def test_rules(changes: dict[str, Any], reason: str | None) -> None:
    row = source_file("src/a.cpp", TEXT) | changes
    kept, dropped = run([row])
    assert kept == ([row["path"]] if reason is None else [])
    assert dropped == ({} if reason is None else {row["path"]: reason})


def test_unknown_licence_can_be_allowed_but_not_a_known_bad_one() -> None:
    rows = [source_file("a.cpp", TEXT, licence=None), source_file("b.cpp", TEXT + "x", licence="GPL-3.0-only")]
    assert run(rows, allow_unknown=True) == (["a.cpp"], {"b.cpp": "licence"})


def test_duplicates_keep_the_first_by_path_and_ignore_blanks() -> None:
    rows = [
        source_file("z.cpp", TEXT),
        source_file("b.cpp", TEXT.replace(" ", "\n  ")),
        source_file("a.cpp", TEXT, is_test=True),
        source_file("c.cpp", TEXT.replace("add", "sub")),
    ]
    assert run(rows) == (["b.cpp", "c.cpp"], {"z.cpp": "duplicate", "a.cpp": "test"})
    _, dropped = clean(TABLES["source_files"].frame(rows))
    assert dropped.collect()["detail"][0] == "same text as r:b.cpp"


def test_what_is_kept_is_redacted_and_the_hash_tells_the_bytes_as_found() -> None:
    row = source_file("a.cpp", TEXT + "// bob@example.com, eve@example.org\n")
    kept, _ = clean(TABLES["source_files"].frame([row, source_file("b.cpp", TEXT)]))
    found = kept.select("content", "n_redacted", "sha256").collect().rows()
    assert found[0] == (TEXT + "// <EMAIL>, <EMAIL>\n", 2, row["sha256"])
    assert found[1][:2] == (TEXT, 0)


def test_empty_table() -> None:
    assert run([]) == ([], {})


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        ("MIT", True),
        ("mit", True),
        ("(MIT OR GPL-2.0) AND Zlib", True),
        ("(MIT OR GPL-2.0) AND GPL-3.0", False),
        ("Zlib AND (GPL-2.0 OR (MIT AND BSD-3-Clause))", True),
        ("(MIT", False),
        ("", False),
        ("GPL-2.0 WITH Classpath-exception-2.0", False),
    ],
)
def test_permissive(licence: str, expected: bool) -> None:
    assert is_permissive(licence) is expected


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=60), st.none() | st.text(max_size=12), st.booleans()), max_size=6))
def test_every_file_is_kept_or_dropped_once(texts: list[tuple[str, str | None, bool]]) -> None:
    rows = [source_file(f"{i}.cpp", t, licence=licence, is_test=test) for i, (t, licence, test) in enumerate(texts)]
    kept, dropped = run(rows)
    assert sorted([*kept, *dropped]) == sorted(r["path"] for r in rows)
    frame = TABLES["source_files"].frame(rows)
    again, _ = clean(clean(frame)[0])
    assert again.select(pl.col("path")).collect()["path"].to_list() == kept

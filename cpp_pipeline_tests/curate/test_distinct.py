"""Near duplicates leave the table of documented functions and are told."""

from __future__ import annotations

from pathlib import Path

from cpp_pipeline.curate.distinct import distinct_pairs
from cpp_pipeline.extract.pairs import docstring_pairs
from cpp_pipeline.schemas import TABLES
from cpp_pipeline_tests.curate.test_duplicates import A, B, changed
from cpp_pipeline_tests.extract.rows import clean_file

DOC = "/// Mixes all the values of the table and returns zero.\n"
BETTER = "/// Mixes all the values of the table, then returns zero: v1, v2, other and so on for all of them.\n"


def test_the_better_documented_stays(tmp_path: Path) -> None:
    near = changed(A, range(3, 4))
    files = [clean_file("a.cpp", DOC + A), clean_file("b.cpp", DOC + B), clean_file("c.cpp", BETTER + near)]
    pairs, bad = docstring_pairs(TABLES["clean_files"].frame(files), "d", tmp_path)
    kept, dropped = distinct_pairs(pairs, bad, tmp_path)
    assert kept.collect()["path"].to_list() == ["b.cpp", "c.cpp"]
    (row,) = TABLES["docstring_pairs_quarantine"].conform(dropped).collect().to_dicts()
    assert row["reason"] == "near duplicate"
    assert row["detail"].startswith("r:a.cpp:2: at least 0.8 of the token 5-shingles of ")
    assert row["text"].startswith("int a()")


def test_empty(tmp_path: Path) -> None:
    empty = TABLES["docstring_pairs"].empty(), TABLES["docstring_pairs_quarantine"].empty()
    kept, dropped = distinct_pairs(*empty, tmp_path)
    assert kept.collect().height == dropped.collect().height == 0

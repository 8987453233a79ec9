"""The benchmark of near duplicates: its truth is the truth, and its texts are the same every time."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from benchmarks.common.duplicates_worker import pairs, truth
from benchmarks.common.planted import planted, real_functions
from cpp_pipeline.curate.signatures import MIN_TOKENS, THRESHOLD
from cpp_pipeline.extract.lexer import tokens
from cpp_pipeline_tests.curate.test_duplicates import function, jaccard


def texts(size: int) -> list[str]:
    return list(planted([function(f"f{n}", 20 + n) for n in range(20)], size, 3))


def test_the_texts_are_functions_variants_and_fillers() -> None:
    made = texts(60)
    assert made == texts(60)
    assert len(made) == 60
    assert {function(f"f{n}", 20 + n) for n in range(20)} <= set(made)


@pytest.mark.slow
def test_the_exact_join_finds_all_pairs_and_no_others(tmp_path: Path) -> None:
    made = [*texts(120), "int x;", "int x;"]
    pl.DataFrame({"code": made}).write_parquet(tmp_path / "texts.parquet")
    truth(tmp_path / "texts.parquet", tmp_path / "truth.npy")
    long = [i for i, text in enumerate(made) if len(tokens(text)) >= MIN_TOKENS]
    wanted = {(i, j) for i, j in combinations(long, 2) if jaccard(made[i], made[j]) >= THRESHOLD}
    assert {(i, j) for i, j in np.load(tmp_path / "truth.npy").tolist()} == wanted
    assert len(wanted) > 5
    pairs(tmp_path / "texts.parquet", tmp_path / "found.npy")
    found = {(i, j) for i, j in np.load(tmp_path / "found.npy").tolist()}
    assert found <= wanted
    assert len(found) > 0.9 * len(wanted)


def test_real_functions_are_definitions_of_some_length(tmp_path: Path) -> None:
    long = function("long", 12)
    (tmp_path / "a.cpp").write_text(f"namespace n {{\n{long}}}\nint f() {{ return 1; }}\n{long}")
    assert real_functions([tmp_path]) == [long.rstrip("\n")]

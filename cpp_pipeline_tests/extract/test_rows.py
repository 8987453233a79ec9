"""Reading tables piece by piece."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from cpp_pipeline.extract.rows import windows

MOST = 16_000_000


@given(st.lists(st.integers(0, 2 * MOST), max_size=40))
def test_windows_are_all_rows_in_order_and_small(sizes: list[int]) -> None:
    frame = pl.LazyFrame({"row": range(len(sizes)), "size": sizes}, schema={"row": pl.Int64, "size": pl.Int64})
    pieces = [window.collect() for window in windows(frame, pl.col("size"))]
    assert [row for piece in pieces for row in piece["row"]] == list(range(len(sizes)))
    assert all(piece.height == 1 or piece["size"].sum() <= MOST for piece in pieces)
    for piece, following in pairwise(pieces):
        assert piece["size"].sum() + following["size"][0] > MOST


def test_windows_of_a_table_are_read_when_asked_for(tmp_path: Path) -> None:
    pl.DataFrame({"text": ["a" * 9_000_000, "b" * 9_000_000]}).write_parquet(tmp_path / "t.parquet")
    found = windows(pl.scan_parquet(tmp_path / "t.parquet"), pl.col("text").str.len_bytes())
    first = next(found)
    assert first.collect()["text"].to_list() == ["a" * 9_000_000]
    assert [window.collect().height for window in found] == [1]

"""Tables come back as they were written, in row groups that fit in memory, and their hash tells their rows."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from cpp_pipeline.storage.parquet import GROUP_BYTES, GROUP_ROWS, content_version, write_parquet


def test_long_texts_make_small_row_groups_and_short_rows_large_ones(tmp_path: Path) -> None:
    long = pl.LazyFrame({"text": [f"{at:05}" * 20_000 for at in range(400)]})
    short = pl.LazyFrame({"number": range(3 * GROUP_ROWS)})
    write_parquet(long, tmp_path / "long.parquet")
    write_parquet(short, tmp_path / "short.parquet")
    with pq.ParquetFile(tmp_path / "long.parquet") as file:
        rows = [file.metadata.row_group(at).num_rows for at in range(file.num_row_groups)]
    assert sum(rows) == 400
    assert max(rows) * 100_000 <= 2 * GROUP_BYTES
    with pq.ParquetFile(tmp_path / "short.parquet") as file:
        assert file.num_row_groups <= 4
    assert pl.read_parquet(tmp_path / "long.parquet").equals(long.collect())
    assert pl.read_parquet(tmp_path / "short.parquet").equals(short.collect())


def test_every_type_and_the_footer_come_back(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "s": ["a", None, "\0 Ü"],
            "u": pl.Series([0, 2**64 - 1, None], dtype=pl.UInt64),
            "l": [["x"], [], None],
            "t": [[{"code": "c", "score": 0.5}], None, []],
            "b": [True, None, False],
            "n": pl.Series([b"\xff", b"", None]),
        },
        schema_overrides={"t": pl.List(pl.Struct({"code": pl.String, "score": pl.Float64}))},
    )
    for made in (frame, frame.head(0)):
        write_parquet(made.lazy(), tmp_path / "t.parquet", {"who": "x"})
        assert pl.read_parquet(tmp_path / "t.parquet").equals(made)
        assert pl.read_parquet_schema(tmp_path / "t.parquet") == made.schema
        assert pq.read_metadata(tmp_path / "t.parquet").metadata[b"who"] == b"x"


def test_the_hash_is_of_rows_and_their_order(tmp_path: Path) -> None:
    frame = pl.DataFrame({"s": [f"row {at}" for at in range(5_000)], "n": [None, *range(4_999)]})
    versions = []
    for name, made, group in (("a", frame, 7), ("b", frame, 4_999), ("c", frame.reverse(), 7), ("d", frame[1:], 7)):
        made.write_parquet(tmp_path / name, row_group_size=group)
        versions.append(content_version(tmp_path / name))
    write_parquet(frame.lazy(), tmp_path / "e", {"who": "x"})
    assert content_version(tmp_path / "e") == versions[0] == versions[1]
    assert len(set(versions)) == 3

"""Candidate edges and shared n-grams: what a plain loop finds, on every engine, in a stable order."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cpp_pipeline.curate.joins import WINDOW, Engine, band_edges, gram_hits, open_engine
from cpp_pipeline_tests.curate.spark_cluster import cluster

_BANDS = {"id": pl.Int64, "band": pl.Int16, "key": pl.UInt64}
_GRAMS = {"row": pl.Int64, "gram": pl.UInt64}
_TOP = 2**64 - 1

Rows = list[tuple[int, int, int]]


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with open_engine() as opened:
        yield opened


def frame(rows: Rows) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=_BANDS, orient="row")


def plain_edges(rows: Rows, window: int) -> list[tuple[int, int]]:
    buckets: dict[tuple[int, int], list[int]] = defaultdict(list)
    for row, band, key in sorted(rows):
        buckets[band, key].append(row)
    pairs = set()
    for members in buckets.values():
        for at, right in enumerate(members):
            pairs |= {(left, right) for left in (members[0], *members[max(0, at - window + 1) : at]) if left != right}
    return sorted(pairs)


_rows = st.lists(
    st.tuples(st.integers(0, 12), st.integers(0, 2), st.sampled_from([0, 7, 2**63, _TOP])), max_size=40, unique=True
)


@settings(max_examples=25, deadline=None)
@given(rows=_rows, window=st.integers(2, 5))
def test_edges_are_those_of_a_plain_loop(engine: Engine, rows: Rows, window: int) -> None:
    found = band_edges(frame(rows), engine=engine, window=window).collect()
    assert found.schema == {"left": pl.Int64, "right": pl.Int64}
    assert found.rows() == plain_edges(rows, window)


def test_new_rows_add_what_the_whole_would_have_more(engine: Engine) -> None:
    rows = planted(600)
    whole = band_edges(frame(rows), engine=engine).collect()
    old = [row for row in rows if row[0] < 500]
    before = band_edges(frame(old), engine=engine).collect()
    added = band_edges(frame(rows), pl.DataFrame({"id": range(500, 600)}), engine=engine).collect()
    assert pl.concat([before, added]).sort("left", "right").equals(whole)
    assert 0 < len(added) < len(whole)


def test_a_giant_bucket_gives_a_linear_number_of_pairs(engine: Engine) -> None:
    found = band_edges(frame([(at, 0, 1) for at in range(5000)]), engine=engine).collect()
    assert len(found) <= 5000 * WINDOW
    assert set(range(1, 5000)) == set(found.filter(pl.col("left") == 0)["right"])


def test_hits_keep_columns_and_come_sorted(engine: Engine) -> None:
    grams = pl.DataFrame([(3, _TOP), (1, 5), (1, _TOP), (2, 6), (1, _TOP)], schema=_GRAMS, orient="row")
    bench = pl.DataFrame({"gram": [_TOP, 6, 6]}, schema={"gram": pl.UInt64})
    found = gram_hits(grams, bench, engine=engine).collect()
    assert found.schema == _GRAMS
    assert found.rows() == [(1, _TOP), (1, _TOP), (2, 6), (3, _TOP)]
    assert gram_hits(grams.head(0), bench, engine=engine).collect().rows() == []


def test_sources_of_every_kind_give_the_same(engine: Engine, tmp_path: Path) -> None:
    grams = pl.DataFrame([(at, at % 10) for at in range(1000)], schema=_GRAMS, orient="row")
    bench = pl.DataFrame({"gram": [3, 4]}, schema={"gram": pl.UInt64})
    files = []
    for at in range(20):
        files.append(tmp_path / f"{at}.parquet")
        grams[at * 50 : at * 50 + 50].write_parquet(files[-1])
    whole = tmp_path / "whole.parquet"
    grams.write_parquet(whole)
    stream = pa.RecordBatchReader.from_batches(grams.to_arrow().schema, grams.to_arrow().to_batches(64))
    found = [
        gram_hits(source, bench, engine=engine).collect() for source in (grams, grams.lazy(), whole, files, stream)
    ]
    assert found[0]["row"].to_list() == [at for at in range(1000) if at % 10 in (3, 4)]
    assert all(other.equals(found[0]) for other in found[1:])


def test_files_of_different_columns_are_refused(engine: Engine, tmp_path: Path) -> None:
    pl.DataFrame({"gram": [1]}, schema={"gram": pl.UInt64}).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({"gram": [1.5]}).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(ValueError, match=r"b\.parquet: its columns gram double differ"):
        gram_hits([tmp_path / "a.parquet", tmp_path / "b.parquet"], pl.DataFrame({"gram": [1]}), engine=engine)
    with pytest.raises(ValueError, match="at least one"):
        gram_hits([], pl.DataFrame({"gram": [1]}), engine=engine)


@pytest.mark.parametrize(("kind", "said"), [("mysql", "duckdb or spark"), ("spark", "SPARK_REMOTE")])
def test_an_engine_that_cannot_be_opened_says_what_to_set(kind: str, said: str) -> None:
    with pytest.raises(ValueError, match=said), open_engine(kind):
        pass


def test_nothing_is_left_in_the_scratch_folder(tmp_path: Path) -> None:
    with open_engine(scratch=tmp_path) as engine:
        band_edges(frame(planted(50)).lazy(), engine=engine).collect()
        assert list(tmp_path.iterdir())
    assert list(tmp_path.iterdir()) == []


def planted(texts: int) -> Rows:
    """Sixteen band keys a text; every third text shares half of its keys with an earlier one."""
    rng = random.Random(5)
    keys: list[list[int]] = []
    for at in range(texts):
        own = [rng.getrandbits(64) for _ in range(16)]
        if at and at % 3 == 0:
            other = keys[rng.randrange(at)]
            own = [other[band] if rng.random() < 0.5 else own[band] for band in range(16)]
        keys.append(own)
    return [(at, band, key) for at, row in enumerate(keys) for band, key in enumerate(row)]


@pytest.mark.slow
def test_spark_on_two_workers_finds_what_duckdb_finds(tmp_path: Path) -> None:
    bands = frame([*planted(20_000), *((at, 16, _TOP) for at in range(3000))])
    new = pl.DataFrame({"id": range(19_000, 20_000)})
    numbers = np.random.default_rng(5).integers(0, 2**64, 200_000, dtype=np.uint64)
    grams = pl.DataFrame({"row": np.arange(200_000) // 100, "gram": numbers})
    bench = pl.DataFrame({"gram": np.r_[numbers[::97], np.uint64(_TOP)]})
    found: dict[str, list[pl.DataFrame]] = {}
    with cluster(tmp_path) as remote:
        for kind in ("duckdb", "spark"):
            with open_engine(kind, remote, scratch=tmp_path) as engine:
                frames = [
                    band_edges(bands.lazy(), engine=engine),
                    band_edges(bands, new, engine=engine),
                    gram_hits(grams, bench, engine=engine),
                    gram_hits(grams.head(0), bench, engine=engine),
                ]
                found[kind] = [result.collect() for result in frames]
    for ours, theirs in zip(found["duckdb"], found["spark"], strict=True):
        assert ours.schema == theirs.schema
        assert ours.equals(theirs)
    assert [result.is_empty() for result in found["duckdb"]] == [False, False, False, True]

"""Tables hold frames to their declaration."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpp_pipeline.schemas import TABLES
from cpp_pipeline.schemas.table import repeated_keys

LISTING = TABLES["repo_dump"]


def row(**changes: object) -> dict[str, object]:
    return {"dump": "d", "path": "a.cpp", "size_bytes": 3, "sha256": "ab", **changes}


def test_a_frame_of_good_rows_has_no_violations() -> None:
    frame = LISTING.frame([row(), row(path="b.cpp")])
    assert LISTING.violations(LISTING.conform(frame)) == {}


def test_each_broken_rule_is_counted() -> None:
    frame = LISTING.frame([row(), row(), row(path="b", size_bytes=-1), row(path="c", sha256=None)])
    assert LISTING.violations(frame) == {
        "size_bytes < 0": 1,
        "sha256 is null": 1,
        "repeated key (dump, path)": 1,
    }


def test_a_closed_set_is_held() -> None:
    table = TABLES["sandbox_canaries"]
    good = dict.fromkeys((c.name for c in table.columns), None) | {
        "canary_id": "x",
        "kind": "riddle",
        "mode": "rpc",
        "expected": "AC",
        "tests_total": 1,
        "ok": True,
        "detail": "",
    }
    assert table.violations(table.frame([good])) == {"kind not in program|correct|attack|control": 1}


def test_missing_unknown_and_mistyped_columns_are_named() -> None:
    with pytest.raises(ValueError, match="repo_dump.*sha256: missing"):
        LISTING.conform(LISTING.frame([row()]).drop("sha256"))
    with pytest.raises(ValueError, match="size_bytes: String is not Int64"):
        LISTING.conform(LISTING.frame([row()]).with_columns(size_bytes=pl.lit("3")))
    with pytest.raises(ValueError, match="unknown \\['colour'\\]"):
        LISTING.frame([row(colour="red")])


def test_numbers_are_finite_also_in_lists_of_solutions() -> None:
    table = TABLES["gspo_prompts"]
    floats = [0.5, float("nan"), float("inf"), float("-inf"), None]
    good = {c.name: [] if c.dtype.is_nested() else 1 if c.dtype == pl.Int64 else "x" for c in table.columns}
    rows = [{**good, "problem_id": str(n), "pass_rate": x} for n, x in enumerate(floats)]
    assert table.violations(table.frame(rows)) == {
        "pass_rate is not finite": 3,
        "pass_rate < 0": 1,
        "pass_rate > 1": 2,
    }
    solutions = [[], [{"code": "a", "score": 1.0}, {"code": "b", "score": None}]]
    solutions += [[{"code": "a", "score": x}] for x in floats[1:4]]
    rows = [
        {**good, "problem_id": str(n), "pass_rate": None, "reference_solutions": s} for n, s in enumerate(solutions)
    ]
    assert table.violations(table.frame(rows)) == {"reference_solutions is not finite": 3}


def test_every_float_has_a_rule_against_what_is_no_number() -> None:
    floats = [(t, c) for t in TABLES.values() for c in t.columns if c.dtype == pl.Float64]
    assert len(floats) > 10
    for table, column in floats:
        rows = pl.LazyFrame(
            {c.name: pl.Series([float("nan")] if c is column else [None], dtype=c.dtype) for c in table.columns}
        )
        assert table.violations(rows)[f"{column.name} is not finite"] == 1, f"{table.name}.{column.name}"


def test_a_table_has_a_key_or_says_why_not() -> None:
    for table in TABLES.values():
        assert bool(table.key) != bool(table.no_key), table.name


def test_every_table_is_described_and_its_key_exists() -> None:
    for table in TABLES.values():
        names = [c.name for c in table.columns]
        assert len(names) == len(set(names)), table.name
        assert set(table.key) <= set(names), table.name
        assert table.description.endswith("."), table.name
        assert all(c.description for c in table.columns), table.name


@given(st.lists(st.integers(min_value=-5, max_value=5), max_size=30))
def test_range_violations_count_exactly_the_rows_outside(sizes: list[int]) -> None:
    frame = LISTING.frame([row(path=str(i), size_bytes=n) for i, n in enumerate(sizes)])
    assert LISTING.violations(frame).get("size_bytes < 0", 0) == sum(n < 0 for n in sizes)


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["a", "b", None])), max_size=30), st.integers(1, 40))
def test_repeated_keys_are_counted_whatever_is_held_at_once(keys: list[tuple[int, str | None]], at_once: int) -> None:
    frame = pl.LazyFrame(keys, schema={"x": pl.Int64, "y": pl.String}, orient="row")
    assert repeated_keys(frame, ["x", "y"], at_once) == len(keys) - len(set(keys))

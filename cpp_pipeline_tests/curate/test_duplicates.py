"""Near duplicates: exact Jaccard is honoured, nothing chains, runs agree."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cpp_pipeline.curate.duplicates import candidates, near_duplicates
from cpp_pipeline.curate.representatives import representatives
from cpp_pipeline.curate.signatures import BANDS, THRESHOLD
from cpp_pipeline.extract.lexer import tokens


def function(seed: str, lines: int = 20) -> str:
    rng = random.Random(seed)
    names = [f"v{rng.randrange(1000)}" for _ in range(30)]
    body = "".join(
        f"  {rng.choice(names)} = {rng.choice(names)} {rng.choice('+-*/')} {rng.randrange(9)};\n" for _ in range(lines)
    )
    return f"int {seed}() {{\n{body}  return 0;\n}}\n"


def changed(code: str, lines: range) -> str:
    split = code.split("\n")
    for i in lines:
        split[i] = f"  other{i}({i});"
    return "\n".join(split)


def shingles(code: str) -> set[tuple[str, ...]]:
    parts = tokens(code)
    return {tuple(parts[i : i + 5]) for i in range(len(parts) - 4)}


def jaccard(a: str, b: str) -> float:
    """By Python's sets: what the compiled form has to equal."""
    x, y = shingles(a), shingles(b)
    return len(x & y) / len(x | y) if x | y else 0.0


def duplicates(ids: Sequence[str], codes: Sequence[str], rank: Sequence[int] | None = None) -> dict[str, str]:
    """In batches of three."""
    return near_duplicates(ids, lambda: [pl.Series(codes[i : i + 3]) for i in range(0, len(codes), 3)], rank)


A, B = function("a", 60), function("b", 60)


def test_a_copy_goes_and_the_better_stays() -> None:
    near = changed(A, range(3, 4))
    assert duplicates(["x", "y", "z"], [A, B, near]) == {"z": "x"}
    assert duplicates(["z", "y", "x"], [near, B, A]) == {"x": "z"}
    assert duplicates(["x", "y", "z"], [A, B, near], rank=[9, 5, 1]) == {"x": "z"}


def test_layout_and_comments_do_not_count() -> None:
    assert duplicates(["x", "y"], [A, A.replace("\n", " /* c */\n\n")]) == {"y": "x"}


def test_no_chaining() -> None:
    middle, far = changed(A, range(3, 6)), changed(A, range(3, 10))
    assert jaccard(A, middle) >= THRESHOLD
    assert jaccard(middle, far) >= THRESHOLD
    assert jaccard(A, far) < THRESHOLD
    assert duplicates(["a", "m", "f"], [A, middle, far]) == {"m": "a"}
    assert duplicates(["m", "a", "f"], [middle, A, far]) == {"a": "m", "f": "m"}


def test_short_functions_are_never_dropped() -> None:
    short = "int size() const { return size_; }"
    assert duplicates(["a", "b"], [short, short]) == {}


def test_a_big_bucket_collapses_to_one() -> None:
    ids = [f"f{i}" for i in range(300)]
    codes = [changed(A, range(3 + i % 50, 4 + i % 50)) for i in range(300)]
    assert duplicates(ids, codes) == {i: "f0" for i in ids[1:] if i != "f0"}


@pytest.mark.parametrize(
    ("ids", "codes", "rank"),
    [(["a", "a"], [A, B], None), (["a"], [A, B], None), (["a", "b"], [A, B], [1, 1]), ([], [A], None)],
)
def test_misuse_is_an_error(ids: list[str], codes: list[str], rank: list[int] | None) -> None:
    with pytest.raises(ValueError, match="near_duplicates"):
        duplicates(ids, codes, rank)


def test_nothing_to_do() -> None:
    assert duplicates([], []) == {}
    assert duplicates(["a"], [A]) == {}


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(3, 50), st.integers(0, 12)), max_size=8))
def test_exact_jaccard_is_honoured(picks: list[tuple[str, int, int]]) -> None:
    codes = [changed(function(seed, 60), range(start, start + n)) for seed, start, n in picks]
    ids = [str(i) for i in range(len(codes))]
    dropped = duplicates(ids, codes)
    assert dropped == duplicates(ids, codes)
    for gone, kept in dropped.items():
        assert kept not in dropped
        assert int(kept) < int(gone)
        assert jaccard(codes[int(gone)], codes[int(kept)]) >= THRESHOLD


def test_recall_against_the_exact_join() -> None:
    codes = [changed(function(f"s{i // 4}", 60), range(5 + i % 4, 5 + 2 * (i % 4))) for i in range(200)]
    similar = {
        (i, j) for i in range(200) for j in range(i + 1, min(200, i + 8)) if jaccard(codes[i], codes[j]) >= THRESHOLD
    }
    found = duplicates([str(i) for i in range(200)], codes)
    reachable = {j for _, j in similar}
    assert len(reachable) > 100
    assert len(found) >= 0.95 * len(reachable)


@given(st.lists(st.lists(st.integers(1, 3), min_size=BANDS, max_size=BANDS), max_size=12), st.integers(2, 5))
def test_candidates_are_the_first_and_the_nearest_of_a_bucket(rows: list[list[int]], window: int) -> None:
    keys = np.array(rows, np.uint64).reshape(-1, BANDS)
    order = np.arange(len(rows))[::-1].copy()
    wanted = set()
    for band in range(BANDS):
        for key in (1, 2, 3):
            bucket = [position for position, row in enumerate(order) if keys[row, band] == key]
            wanted |= {(bucket[i], bucket[k]) for k in range(len(bucket)) for i in range(k) if i == 0 or k - i < window}
    better, worse = candidates(keys, order, window)
    assert list(zip(better.tolist(), worse.tolist(), strict=True)) == sorted(wanted)


def test_representatives_are_chosen_greedily() -> None:
    better, worse = np.array([3, 1, 0, 0, 2]), np.array([4, 2, 1, 5, 3])
    assert representatives(better, worse) == {1: 0, 5: 0, 3: 2}

"""Signatures: the exact similarity is exact however little is held, keys say what they should, and stay as they are."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cpp_pipeline.curate.signatures import ALGORITHM, BANDS, MIN_TOKENS, ROWS, Reader, signatures, similarities
from cpp_pipeline_tests.curate.test_duplicates import A, B, changed, jaccard

WORDS = st.lists(st.sampled_from("abc"), max_size=12).map(" ".join)


def reader(texts: list[str], size: int) -> Reader:
    def read() -> list[tuple[np.ndarray, pl.Series]]:
        order = list(range(len(texts)))[::-1]
        parts = [order[i : i + size] for i in range(0, len(texts), size)]
        return [(np.array(part), pl.Series([texts[i] for i in part])) for part in parts]

    return read


@settings(max_examples=200, deadline=None)
@given(st.lists(WORDS, min_size=2, max_size=8), st.data())
def test_similarity_is_that_of_the_sets(texts: list[str], data: st.DataObject) -> None:
    number = st.integers(0, len(texts) - 1)
    pairs = data.draw(st.lists(st.tuples(number, number), max_size=12))
    left, right = (np.array([p[side] for p in pairs], np.int64) for side in (0, 1))
    wanted = [jaccard(texts[i], texts[j]) for i, j in pairs]
    for held in (1, 10, 1_000_000):
        found = similarities(left, right, reader(texts, data.draw(st.integers(1, 4))), held)
        assert found.tolist() == pytest.approx(wanted, abs=1e-12)


def test_a_text_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="text 0 or 7"):
        similarities(np.array([0]), np.array([7]), reader([A, B], 1))


def test_short_texts_have_no_keys() -> None:
    n_tokens, keys = signatures(pl.Series(["", "a", "a " * (MIN_TOKENS - 1), "a " * MIN_TOKENS]))
    assert n_tokens.tolist() == [0, 1, MIN_TOKENS - 1, MIN_TOKENS]
    assert keys.shape == (4, BANDS)
    assert (keys != 0).any(axis=1).tolist() == [False, False, False, True]


def test_a_band_is_shared_as_often_as_its_similarity_says() -> None:
    """Two sets share a band of 8 rows with probability J ** 8; the pairs here share a text, so the bound is wide."""
    near = [changed(A, range(3, 4 + i % 3)) for i in range(60)]
    _, keys = signatures(pl.Series([A, *near]))
    expected = [jaccard(A, text) ** ROWS for text in near]
    shared = (keys[1:] == keys[0]).sum() / (60 * BANDS)
    assert abs(shared - np.mean(expected)) < 0.15
    assert len(np.unique(keys)) > BANDS  # keys of different bands differ, also of one text
    assert len(np.unique(keys[0])) == BANDS


def test_layout_does_not_count() -> None:
    _, keys = signatures(pl.Series([A, A.replace("\n", " /* c */\n\n")]))
    assert (keys[0] == keys[1]).all()


def test_stored_keys_stay_what_they_are() -> None:
    """If this fails, stored signatures are worth nothing beside new ones: raise ALGORITHM, then renew the figure."""
    _, keys = signatures(pl.Series(["int x = a + b; " * 10]))
    assert (ALGORITHM, int(keys[0, 0])) == (1, PINNED)


PINNED = 7471008266734666730

"""Hashes of token windows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cpp_pipeline.curate.grams import hash_tokens_u64, ngrams

WORDS = st.lists(st.sampled_from(["a", "b", "c", ";"]), max_size=40)


@given(WORDS, st.integers(1, 12))
def test_equal_windows_and_only_they_have_equal_hashes(words: list[str], n: int) -> None:
    found = ngrams(hash_tokens_u64(words), n).tolist()
    windows = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    assert len(found) == len(windows)
    assert len(set(found)) == len(set(windows))
    assert len(set(zip(found, windows, strict=True))) == len(set(windows))


@given(WORDS, WORDS, st.integers(1, 8))
def test_the_place_of_a_window_does_not_matter(before: list[str], words: list[str], n: int) -> None:
    alone = ngrams(hash_tokens_u64(words), n).tolist()
    behind = ngrams(hash_tokens_u64([*before, *words]), n).tolist()
    assert not alone or behind[-len(alone) :] == alone


def test_the_numbers_are_fixed() -> None:
    assert ngrams(hash_tokens_u64(["int", "x", ";"]), 2).tolist() == [6964623759447635680, 11536412949821086936]

"""Edits rebuild the text after from the text before."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cpp_pipeline.extract.edits import edited, edits

TEXTS = st.lists(st.sampled_from(["a", "b", "", "}", "\r", "\x0b", "\u2028", "end"]), max_size=9).flatmap(
    lambda lines: st.sampled_from(["\n".join(lines), "\n".join(lines) + "\n"])
)


@given(TEXTS, TEXTS)
def test_round_trip(before: str, after: str) -> None:
    found = edits(before, after)
    assert edited(before, found) == after
    assert (found == []) == (before == after)


def test_lines_count_from_one_and_a_pure_insertion_replaces_none() -> None:
    assert edits("a\nc\n", "a\nb\nc\n") == [{"start_line": 2, "end_line": 1, "text": "b\n"}]
    assert edits("a\nb\nc\n", "a\nx\nc\n") == [{"start_line": 2, "end_line": 2, "text": "x\n"}]

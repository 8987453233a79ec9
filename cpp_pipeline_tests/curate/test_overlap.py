"""n-grams by compiled code: those that a plain loop over the spelled parts finds, and pieces as a plain loop counts."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cpp_pipeline.curate.coverage import Coverage
from cpp_pipeline.curate.overlap import FIXED, View, Wanted, spelled
from cpp_pipeline.extract.lexer import tokens

CODE = '/// Adds Two\nint add_2(int a, int b) { return a + b + 17 + "s"; }  // Ünïcode'


def test_the_views() -> None:
    assert spelled("words", CODE)[:4] == ["adds", "two", "int", "add_2"]
    assert spelled("words", CODE)[-1] == "ünïcode"
    assert spelled("tokens", CODE) == tokens(CODE)
    assert " ".join(spelled("symbols", 'int f(x) { return 1 + "s"; }')) == "int $ ( $ ) { return $ + $ ; }"


def test_what_stays_is_one_token_each() -> None:
    assert all(tokens(token) == [token] for token in FIXED)


_text = st.lists(st.sampled_from(["int ", "a ", "B ", "b ", "12 ", "+", ";", "// c\n", '"s"', "é ", "#"]), max_size=30)
_texts = st.lists(_text.map("".join) | st.text(max_size=20), max_size=6)


@settings(max_examples=60, deadline=None)
@example(["0\x01"], "symbols", 1)  # the hash of this control character is 0
@given(_texts, st.sampled_from(["tokens", "symbols", "words"]), st.integers(1, 4))
def test_equal_grams_are_equal_spellings(texts: list[str], view: View, n: int) -> None:
    found = Wanted([(view, n)], None).find(pl.Series(texts, dtype=pl.String))
    by_hash: dict[int, set[tuple[str, ...]]] = defaultdict(set)
    places = []
    for row, place, gram in zip(found.rows, found.places, found.hashes, strict=True):
        by_hash[int(gram)].add(tuple(spelled(view, texts[row])[place : place + n]))
        places.append((row, place))
    expected = [(row, at) for row, text in enumerate(texts) for at in range(len(spelled(view, text)) - n + 1)]
    assert places == expected
    assert all(len(spellings) == 1 for spellings in by_hash.values())
    assert len({next(iter(s)) for s in by_hash.values()}) == len(by_hash)


def test_views_lengths_and_nulls_do_not_mix() -> None:
    kinds: list[tuple[View, int]] = [("tokens", 2), ("words", 2), ("tokens", 3)]
    found = Wanted(kinds, None).find(pl.Series(["a b c", None, "a b c"]))
    assert len(set(found.hashes.tolist())) == 2 + 2 + 1
    assert set(found.rows.tolist()) == {0, 2}


def test_the_bitmap_passes_what_is_wanted_and_little_else() -> None:
    series = pl.Series([" ".join(f"w{n}" for n in range(20_000))])
    every = Wanted([("words", 3)], None).find(series)
    some = Wanted([("words", 3)], every.hashes[::100]).find(series)
    assert set(every.hashes[::100].tolist()) <= set(some.hashes.tolist())
    assert len(some.hashes) < 1.1 * len(every.hashes[::100])


Hits = list[tuple[int, int, int, bool]]
_UNITS = {"u": ([1, 2, 3, 4], 5, False), "v": ([3, 4, 5], 4, True), "w": ([9], 2, False)}


def plain(hits: Hits, share: float, piece: int) -> set[tuple[int, str]]:
    found = set()
    for row in {hit[0] for hit in hits}:
        own = [hit for hit in hits if hit[0] == row]
        for name, (grams, length, family) in _UNITS.items():
            if family and own[0][3]:
                continue
            for _, start, _, _ in own:
                held = {g for _, at, g, _ in own if start <= at < start + piece * length} & set(grams)
                if len(held) >= share * len(grams):
                    found.add((row, name))
    return found


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30), st.integers(0, 10)), max_size=40, unique=True),
    st.sets(st.integers(0, 2)),
    st.sampled_from([0.5, 0.6, 1.0]),
    st.integers(1, 3),
)
def test_pieces_are_those_of_a_plain_loop(
    places: list[tuple[int, int, int]], keyed: set[int], share: float, piece: int
) -> None:
    bench = pl.DataFrame(
        [
            {"problem_id": "p", "unit": u, "gram": g, "text": f"{u}{g}", "size": len(gs), "length": n, "family": f}
            for u, (gs, n, f) in _UNITS.items()
            for g in gs
        ],
        schema_overrides={"gram": pl.UInt64},
    ).with_columns(problem_id=pl.col("unit"))
    hits: Hits = [(row, place, gram, row in keyed) for row, place, gram in sorted(places)]
    schema = {"row": pl.Int64, "place": pl.Int64, "gram": pl.UInt64, "keyed": pl.Boolean}
    shared = pl.DataFrame(hits, schema=schema, orient="row")
    found = Coverage(bench, share, piece).pieces(shared)
    assert set(found.select("row", "problem_id").rows()) == plain(hits, share, piece)
    assert all(int(text[1:]) in _UNITS[unit][0] for _, unit, text in found.rows())


def test_no_units() -> None:
    columns = {"problem_id": pl.String, "unit": pl.String, "gram": pl.UInt64, "text": pl.String}
    bench = pl.DataFrame(schema=columns | {"size": pl.Int64, "length": pl.Int64, "family": pl.Boolean})
    shared = pl.DataFrame({"row": [1], "place": [1], "gram": np.array([7], np.uint64), "keyed": [False]})
    assert Coverage(bench, 0.6, 2).pieces(shared).is_empty()


@pytest.mark.parametrize("n", [1, 7, 100])
def test_windows_longer_than_a_text_are_none(n: int) -> None:
    assert len(Wanted([("tokens", n)], None).find(pl.Series(["", "a b c"])).hashes) == max(0, 4 - n)

"""How much of a text's n-grams lies in one piece of another text.

Belongs here: the index of the texts that may be covered, and the look-up of shared n-grams in it. Does not belong
here: which texts these are and how much is too much (`decontaminate.py`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl


class Coverage:
    """Texts by their n-grams."""

    def __init__(self, bench: pl.DataFrame, share: float, piece: int) -> None:
        """Prepare the look-up.

        Parameters
        ----------
        bench
            Columns `problem_id` and `unit` (which text), `gram`, `text` (the n-gram to be read), `size` (distinct
            n-grams of the text), `length` (its tokens) and `family` (not compared with rows that have a split key).
        share
            Share of a text's distinct n-grams that a piece has to hold.
        piece
            Length of a piece in lengths of the text.
        """
        self._bench = bench.sort("problem_id", "unit", "gram")
        self._units = self._bench.unique(["problem_id", "unit"], keep="first", maintain_order=True)
        which = self._units.select("problem_id", "unit", number=pl.int_range(pl.len()))
        numbers = self._bench.join(which, on=["problem_id", "unit"], maintain_order="left")["number"].to_numpy()
        self._grams, places = np.unique(self._bench["gram"].to_numpy(), return_inverse=True)
        by_gram = np.argsort(places, kind="stable")
        self._index = (
            np.searchsorted(places[by_gram], np.arange(len(self._grams) + 1)),
            numbers[by_gram],
            np.searchsorted(numbers, np.arange(len(self._units) + 1)),
            places,
            np.ceil(share * self._units["size"].to_numpy() - 1e-9).astype(np.int64),
            piece * self._units["length"].to_numpy(),
            self._units["family"].to_numpy().astype(np.uint8),
        )

    def pieces(self, shared: pl.DataFrame) -> pl.DataFrame:
        """Texts that rows hold in a piece: `row`, `problem_id` and the first n-gram that they share, `text`.

        `shared` has the columns `row`, `keyed`, `place` and `gram`, sorted by row and place.
        """
        from cpp_pipeline.curate.gram_kernel import covered

        numbers = np.searchsorted(self._grams, shared["gram"].to_numpy())
        known = np.flatnonzero(np.isin(shared["gram"].to_numpy(), self._grams))
        hits, grams = shared[known], numbers[known]
        sides = [hits["row"].to_numpy(), hits["place"].to_numpy(), grams, hits["keyed"].cast(pl.UInt8).to_numpy()]
        arrays: list[Any] = [*sides, *self._index]
        found = np.empty((0, 3), np.int64)
        while (count := covered(*[*arrays, found])) > len(found):
            found = np.empty((count, 3), np.int64)
        units = self._units[found[:, 1]].select("problem_id", "unit")
        matched = units.with_columns(row=found[:, 0], gram=hits["gram"].to_numpy()[found[:, 2]])
        return matched.join(self._bench, on=["problem_id", "unit", "gram"]).select("row", "problem_id", "text")

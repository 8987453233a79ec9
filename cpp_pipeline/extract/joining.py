"""Documentation at a declaration joined to the definition in another place.

Belongs here: which declaration a definition belongs to. Does not belong here: reading files (`functions.py`), the
include graph (`includes.py`), quality.

Rule: same repository, last name and last scope part; the shorter qualified name is a suffix of the longer by whole
scopes, equal names before others; the declaration's file is the same file, is reached from it through `#include`, or,
with equal names, reaches it; anonymous namespaces join inside one file only; a definition inside its class is its own
first declaration and joins none. Of what is left: equal qualifiers and types, else equal qualifiers and number
of parameters when only one overload has them. Candidates that leave more than one documentation are ambiguous.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cpp_pipeline.extract.docs import clean_comment
from cpp_pipeline.extract.includes import IncludeGraph

_MAX_PAIRS = 100_000


@dataclass(frozen=True)
class Candidate:
    """A declaration that a definition may belong to; `doc_raw` is empty where only an overload is documented."""

    parameter_types: tuple[str, ...]
    qualifiers: str
    doc_raw: str
    doc_path: str
    doc_line: int


@dataclass(frozen=True)
class Ambiguous:
    """Several declarations fit: they say different things, or only their number of parameters is known to fit."""

    places: tuple[str, ...]


def choose(
    parameter_types: tuple[str, ...], qualifiers: str, candidates: Sequence[Candidate]
) -> Candidate | Ambiguous | None:
    """The declaration of a definition with these parameters and qualifiers (`const &`), None when none fits."""
    alike = [c for c in candidates if c.qualifiers == qualifiers]
    exact = [c for c in alike if c.parameter_types == parameter_types]
    chosen = exact or [c for c in alike if len(c.parameter_types) == len(parameter_types)]
    documented = [c for c in chosen if c.doc_raw]
    if not documented:
        return None
    several = len({c.parameter_types for c in chosen}) > 1  # overloads, and no way to tell which is meant
    if several or len({clean_comment(c.doc_raw) for c in documented}) > 1:
        return Ambiguous(tuple(f"{c.doc_path}:{c.doc_line}" for c in documented))
    return documented[0]


def join_key(repo: pl.Expr, qualified_name: pl.Expr) -> pl.Expr:
    """A number that is equal where repository, last scope part and last name are; holds within one process.

    `operator std::string` is one name.
    """
    operator = qualified_name.str.extract(r"^(?:.*::)?(operator\b.*)$", 1)
    last = pl.coalesce(operator, qualified_name.str.extract(r"([^:]*)$", 1))
    before = qualified_name.str.head(qualified_name.str.len_chars() - last.str.len_chars()).str.strip_suffix("::")
    scope = before.str.extract(r"([^:]*)$", 1)
    return pl.concat_str([repo, scope, last], separator="\0").hash()


def is_scope_suffix(a: pl.Expr, b: pl.Expr) -> pl.Expr:
    """Whether the shorter qualified name is a suffix of the longer, by whole scopes."""
    return (a == b) | a.str.ends_with(pl.lit("::") + b) | b.str.ends_with(pl.lit("::") + a)


class Declarations:
    """Documented declarations of a dump by key: narrow columns, no texts.

    Parameters
    ----------
    table
        Columns key, file (number), qualified_name, is_anonymous, in the order of the dump; more may follow.
    """

    def __init__(self, table: pl.DataFrame) -> None:
        self._table = table.with_row_index("declaration").sort("key", maintain_order=True)
        self._keys: NDArray[np.uint64] = self._table["key"].to_numpy()

    def candidates(self, definitions: pl.DataFrame, graphs: Graphs) -> Iterator[pl.DataFrame]:
        """Pairs (definition, declaration) that scopes, includes and namespaces allow, a bounded number at a time.

        Parameters
        ----------
        definitions
            Columns definition (its number), key, file, qualified_name, is_anonymous.
        graphs
            The include graphs of the files.
        """
        keys = definitions["key"].to_numpy()
        first, last = np.searchsorted(self._keys, keys, "left"), np.searchsorted(self._keys, keys, "right")
        ends = np.cumsum(last - first)
        start = 0
        while start < len(keys):
            before = ends[start - 1] if start else 0
            stop = max(start + 1, int(np.searchsorted(ends, before + _MAX_PAIRS, "right")))
            yield self._allowed(definitions[start:stop], first[start:stop], last[start:stop], graphs)
            start = stop

    def _allowed(
        self, definitions: pl.DataFrame, first: NDArray[np.int64], last: NDArray[np.int64], graphs: Graphs
    ) -> pl.DataFrame:
        counts = last - first
        left = np.repeat(np.arange(len(counts)), counts)
        within = np.arange(len(left)) - np.repeat(np.cumsum(counts) - counts, counts)
        right = np.repeat(first, counts) + within
        pairs = pl.concat(
            [definitions[left], self._table[right].drop("key").rename(lambda c: c if c == "declaration" else f"d_{c}")],
            how="horizontal",
        )
        name, other = pl.col("qualified_name"), pl.col("d_qualified_name")
        same_file = pl.col("file") == pl.col("d_file")
        named = pairs.filter(
            is_scope_suffix(name, other) & (same_file | ~(pl.col("is_anonymous") | pl.col("d_is_anonymous")))
        )
        near: pl.DataFrame = named.filter(graphs.near(named.select("file", "d_file", is_equal=name == other)))
        return near.filter((name == other) | ~(name == other).any().over("definition"))


class Graphs:
    """Include graphs of all repositories of a dump, made when asked for and kept for the last few.

    Parameters
    ----------
    files
        One row a file, in order of its number: repo, path, includes.
    """

    def __init__(self, files: pl.DataFrame, kept: int = 16) -> None:
        self._files, self._kept = files, kept
        numbered = files.with_row_index("file").group_by("repo", maintain_order=True).agg("file")
        self._members = dict(zip(numbered["repo"], numbered["file"], strict=True))
        self._made: dict[str, tuple[NDArray[np.int64], IncludeGraph]] = {}

    def _graph(self, repo: str) -> tuple[NDArray[np.int64], IncludeGraph]:
        """The numbers of a repository's files, sorted, and the graph between their places in that list."""
        made = self._made.pop(repo, None)
        if made is None:
            numbers = self._members[repo]
            rows = self._files[numbers]
            made = numbers.to_numpy(), IncludeGraph(rows["path"].to_list(), rows["includes"].to_list())
            if len(self._made) >= self._kept:
                self._made.pop(next(iter(self._made)))
        self._made[repo] = made
        return made

    def near(self, pairs: pl.DataFrame) -> pl.Series:
        """For each pair of file numbers (file, d_file) whether includes allow the join; (n,) booleans."""
        allowed: set[tuple[int, int]] = set()
        equal = set(pairs.filter("is_equal").select("file", "d_file").unique().iter_rows())
        wanted = pairs.select("file", "d_file").unique().group_by("file", maintain_order=True).agg("d_file")
        for file, others in wanted.iter_rows():
            numbers, graph = self._graph(self._files["repo"][file])
            own, *places = np.searchsorted(numbers, [file, *others]).tolist()
            reached = graph.reached(own, places)
            allowed |= {
                (file, other)
                for other, place in zip(others, places, strict=True)
                if place in reached or ((file, other) in equal and graph.reached(place, [own]))
            }
        near = (pair in allowed for pair in pairs.select("file", "d_file").iter_rows())
        return pl.Series(near, dtype=pl.Boolean)

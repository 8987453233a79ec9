"""Training rows that are too close to a held-out problem.

Belongs here: the rules of closeness and their report. Does not belong here: which texts are compared (the
caller builds the frame), the split of generated problems (`problems/`).

Rules (a row may break several):

* `verbatim`: 20 code tokens in a row shared with a reference solution or test code;
* `tokens`: with names and literals replaced, at least 0.6 of the 10-grams of one solution, or all of a
  short one: catches renamed and reformatted copies;
* `doc`: 10 words in a row shared with documentation or solution;
* `split_key`: the row is made of the same ingredients as the problem.

Generated problems of one family share templates between training and evaluation by design: every solution
has the same loop around other steps, so n-grams would reject the whole family. What must not be shared is
the combination of steps, and that is `split_key`. A training row with a split key is therefore compared
with a held-out family problem only by that key and for identity (the whole of a reference, rule `verbatim`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl

from cpp_pipeline.curate.grams import U64, hash_tokens_u64, ngrams
from cpp_pipeline.curate.tokens import symbols, tokens
from cpp_pipeline.schemas import TABLES

VERBATIM_TOKENS = 20
DOC_WORDS = 10
COVERAGE_TOKENS = 10
MIN_COVERAGE = 0.6
_BATCH_ROWS = 200
_WORD = re.compile(r"\w+")
_KEY = ["table", "row_id", "problem_id", "rule"]
_BENCH = {
    "gram": pl.UInt64, "view": pl.String, "n": pl.Int64, "problem_id": pl.String, "unit": pl.String,
    "size": pl.Int64, "family": pl.Boolean, "text": pl.String,
}  # fmt: skip

# The views of a text are taken one after the other; lexing it once saves a quarter of the work.
_tokens = lru_cache(maxsize=1)(tokens)
_VIEWS: dict[str, Callable[[str], list[str]]] = {
    "verbatim": _tokens,
    "tokens": lambda text: symbols(_tokens(text)),
    "doc": lambda text: _WORD.findall(text.lower()),
}


def _grams(view: str, n: int, problem: dict[str, Any], unit: str, text: str) -> Iterator[dict[str, Any]]:
    """One row for each distinct n-gram of one text of a held-out problem."""
    parts = _VIEWS[view](text)
    hashes = ngrams(hash_tokens_u64(parts), n)
    distinct, first = np.unique(hashes, return_index=True)
    for gram, start in zip(distinct.tolist(), first.tolist(), strict=True):
        yield {
            "gram": gram, "view": view, "n": n, "problem_id": problem["problem_id"], "unit": unit,
            "size": len(distinct), "family": problem["source"] == "family",
            "text": " ".join(parts[start : start + n]),
        }  # fmt: skip


def _bench(held_out: list[dict[str, Any]]) -> pl.DataFrame:
    """All n-grams that must not be shared; columns of `_BENCH`."""
    rows: list[dict[str, Any]] = []
    for problem in held_out:
        solutions = [s for s in problem["references"] or [problem["reference"]] if s]
        for i, solution in enumerate(solutions):
            length, unit = len(tokens(solution)), f"solution {i}"
            if problem["source"] == "family" and length >= COVERAGE_TOKENS:
                rows += _grams("verbatim", length, problem, "identity", solution)
            rows += _grams("verbatim", VERBATIM_TOKENS, problem, unit, solution)
            short = length < 2 * COVERAGE_TOKENS - 1  # fewer than ten 10-grams: all of it, or nothing
            rows += (
                _grams("tokens", length if short else COVERAGE_TOKENS, problem, unit, solution) if length >= 5 else ()
            )
            rows += _grams("doc", DOC_WORDS, problem, unit, solution)
        rows += _grams("verbatim", VERBATIM_TOKENS, problem, "tests", problem["test_code"] or "")
        rows += _grams("doc", DOC_WORDS, problem, "doc", problem["doc"])
    return pl.DataFrame(rows, schema=_BENCH)


class _Matcher:
    """The n-grams of one set of held-out texts, ready to be looked up."""

    def __init__(self, bench: pl.DataFrame) -> None:
        self._bench = bench
        kinds = bench.select("view", "n").unique().sort("view", "n").rows()
        self._lengths: dict[str, list[int]] = {}
        self._sorted: dict[tuple[str, int], U64] = {}
        for view, n in kinds:
            grams = bench.filter((pl.col("view") == view) & (pl.col("n") == n))["gram"]
            self._lengths.setdefault(view, []).append(n)
            self._sorted[view, n] = grams.unique().sort().to_numpy()

    def _known(self, text: str, row: int) -> Iterator[pl.DataFrame]:
        """The n-grams of one text that the held-out texts hold, as (row, view, n, gram)."""
        for view, lengths in self._lengths.items():
            hashes = hash_tokens_u64(_VIEWS[view](text))
            for n in lengths:
                grams, table = ngrams(hashes, n), self._sorted[view, n]
                # `table` is sorted: looking up is cheaper than np.isin, which would sort it for each text.
                place = np.minimum(np.searchsorted(table, grams), len(table) - 1)
                found = np.unique(grams[table[place] == grams])
                if len(found):
                    yield pl.DataFrame({"gram": found}).with_columns(
                        pl.lit(row, pl.UInt32).alias("row"),
                        pl.lit(view).alias("view"),
                        pl.lit(n, pl.Int64).alias("n"),
                    )

    def hits(self, batch: pl.DataFrame) -> pl.DataFrame:
        """Report rows of a batch of texts (row, table, row_id, text)."""
        texts = zip(batch["row"].to_list(), batch["text"].to_list(), strict=True)
        grams = [frame for row, text in texts for frame in self._known(text, row)]
        if not grams:
            return TABLES["decontamination_report"].empty().collect()
        counted = (
            pl.concat(grams)
            .join(self._bench, on=["gram", "view", "n"])
            .group_by("row", "problem_id", pl.col("view").alias("rule"), "unit")
            .agg(shared=pl.col("gram").n_unique(), size=pl.col("size").first(), matched=pl.col("text").min())
            .join(batch.select("row", "table", "row_id"), on="row")
        )
        enough = (pl.col("rule") != "tokens") | (pl.col("shared") >= MIN_COVERAGE * pl.col("size"))
        return counted.filter(enough).select(*_KEY, "matched")


def _key_hits(training: pl.LazyFrame, held_out: pl.DataFrame) -> pl.DataFrame:
    keys = held_out.select("problem_id", "split_key")
    return (
        training.select("table", "row_id", "split_key")
        .join(keys.lazy(), on="split_key")
        .select("table", "row_id", "problem_id", rule=pl.lit("split_key"), matched=pl.col("split_key"))
        .collect(engine="streaming")
    )


def hits(training: pl.LazyFrame, held_out: pl.LazyFrame) -> pl.LazyFrame:
    """Every training row that breaks a rule, with the problem, the rule and the overlapping text.

    Parameters
    ----------
    training
        Columns `table`, `row_id`, `text` (all that the model would see of the row) and `split_key` (null
        unless the row comes from a problem). Read in batches; the held-out n-grams are held in memory.
    held_out
        Rows of `eval_problems`.

    Returns
    -------
    LazyFrame
        Rows of `decontamination_report`, sorted by its key.

    Raises
    ------
    ValueError
        If a column of `training` is missing.
    """
    missing = {"table", "row_id", "text", "split_key"} - set(training.collect_schema().names())
    if missing:
        raise ValueError(f"decontamination: the training frame lacks {sorted(missing)}; select them first")
    problems = held_out.collect()
    bench = _bench(problems.to_dicts())
    identity, family = pl.col("unit") == "identity", pl.col("family")
    of_problems = _Matcher(bench.filter(identity | ~family))
    of_others = _Matcher(bench.filter(~identity))
    columns = training.select("table", "row_id", "text", "split_key").with_row_index("row")
    found = [_key_hits(training, problems)]
    for batch in columns.collect_batches(chunk_size=_BATCH_ROWS, maintain_order=True):
        has_key = pl.col("split_key").is_not_null()
        found += [of_problems.hits(batch.filter(has_key)), of_others.hits(batch.filter(~has_key))]
    report = pl.concat(found).sort(*_KEY, "matched").unique(_KEY, keep="first", maintain_order=True)
    return TABLES["decontamination_report"].conform(report.lazy())


def training_texts(
    clean_files: pl.LazyFrame, docstring_pairs: pl.LazyFrame, diff_sft: pl.LazyFrame, train_problems: pl.LazyFrame
) -> pl.LazyFrame:
    """The training frame of `hits`: all that a model would see of each row of the tables.

    A file's `row_id` is dump/repo/path; a hit takes the whole file out of the raw text. Problems keep their
    `split_key`; the other tables have none. Instructions of problems are left out: the phrasing around them is
    the same for all.
    """

    def joined(*columns: str | pl.Expr) -> pl.Expr:
        return pl.concat_str(columns, separator="\n", ignore_nulls=True).alias("text")

    problem = joined("doc", "preamble", "reference", pl.col("references").list.join("\n"), "test_code")
    no_key = pl.lit(None, pl.String).alias("split_key")
    return pl.concat(
        [
            clean_files.select(
                pl.lit("clean_files").alias("table"),
                pl.concat_str("dump", "repo", "path", separator="/").alias("row_id"),
                pl.col("content").alias("text"),
                no_key,
            ),
            docstring_pairs.select(
                pl.lit("docstring_pairs").alias("table"),
                pl.col("pair_id").alias("row_id"),
                joined("doc_raw", "code"),
                no_key,
            ),
            diff_sft.select(
                pl.lit("diff_sft").alias("table"),
                "row_id",
                joined("instruction", "before", "after"),
                no_key,
            ),
            train_problems.select(
                pl.lit("train_problems").alias("table"),
                pl.col("problem_id").alias("row_id"),
                problem,
                "split_key",
            ),
        ]
    )

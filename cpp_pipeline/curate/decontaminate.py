"""Training rows that are too close to a held-out problem.

Belongs here: the rules of closeness and their report. Does not belong here: n-grams (`overlap.py`), which texts are
compared (the caller builds the frame), the split of generated problems (`problems/`).

Rules (a row may break several):

* `verbatim`: 20 code tokens in a row shared with a reference solution or test code;
* `tokens`: with names and literals replaced, at least 0.6 of the 10-grams of one solution within a piece twice as
  long as it, or all of a short one: catches renamed and reformatted copies;
* `doc`: 10 words in a row shared with documentation, solution or tests;
* `split_key`: the row is made of the same ingredients as the problem.

Generated problems of one family share templates between training and evaluation by design: every solution
has the same loop around other steps, so n-grams would reject the whole family. What must not be shared is
the combination of steps, and that is `split_key`. A training row with a split key is therefore compared
with a held-out family problem only by that key and for identity (the whole of a reference, rule `verbatim`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from cpp_pipeline.curate.coverage import Coverage
from cpp_pipeline.curate.joins import Engine, gram_hits, open_engine
from cpp_pipeline.curate.overlap import View, Wanted, spelled
from cpp_pipeline.curate.tokens import symbols, tokens
from cpp_pipeline.schemas import TABLES

VERBATIM_TOKENS = 20
DOC_WORDS = 10
COVERAGE_TOKENS = 10
MIN_COVERAGE = 0.6
MIN_SHORT_TOKENS = 5
_PIECE = 2
"""How many times as long as the solution a copy may be. In a whole file, unrelated functions together hold the
common n-grams of any solution."""
_MIN_WORDS = {"verbatim": 2, "doc": 5, "tokens": 0}
"""Fewest words of two letters and more in an n-gram: the numbers from 1 to 10, and `i 0 i n i`, are in many texts."""
_READ_ROWS, _BATCH_ROWS = 2048, 256  # polars needs more memory to give smaller batches
_BATCH_HITS = 200_000
_VIEWS: dict[str, View] = {"verbatim": "tokens", "tokens": "symbols", "doc": "words"}
_KEY = ["table", "row_id", "problem_id", "rule"]
_GRAMS = pa.schema({"row": pa.int64(), "keyed": pa.bool_(), "place": pa.int64(), "gram": pa.uint64()})
_BENCH = {
    "gram": pl.UInt64, "rule": pl.String, "n": pl.Int64, "problem_id": pl.String, "unit": pl.String,
    "size": pl.Int64, "length": pl.Int64, "family": pl.Boolean, "text": pl.String,
}  # fmt: skip
_FOUND: dict[str, Any] = {
    "row": pl.Int64, "problem_id": pl.String, "rule": pl.String, "matched": pl.String, "places": pl.List(pl.Int64),
}  # fmt: skip
"""What rows share; `places` are those at which a short solution may stand, null for what is certain."""


def hits(training: pl.LazyFrame, held_out: pl.LazyFrame, engine: Engine | None = None) -> pl.LazyFrame:
    """Every training row that breaks a rule, with the problem, the rule and the overlapping text.

    Parameters
    ----------
    training
        Columns `table`, `row_id`, `text` (all that the model would see of the row) and `split_key` (null
        unless the row comes from a problem). Read in batches, twice; the held-out n-grams are held in memory.
    held_out
        Rows of `eval_problems`.
    engine
        Where the n-grams are joined; duckdb when not given.

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
    rules = _Rules(bench)
    with ExitStack() as stack:
        used = engine or stack.enter_context(open_engine())
        grams = pa.RecordBatchReader.from_batches(_GRAMS, _batches(training, bench))
        shared = gram_hits(grams, bench.select("gram"), engine=used)
        broken = pl.concat([pl.DataFrame(schema=_FOUND), *(rules.broken(part) for part in _whole_rows(shared))])
    found = [_key_hits(training, problems), *_named(training, broken, problems)]
    report = pl.concat(found).sort(*_KEY, "matched").unique(_KEY, keep="first", maintain_order=True)
    return TABLES["decontamination_report"].conform(report.lazy())


def _solutions(problem: dict[str, Any]) -> list[str]:
    return [s for s in problem["references"] or [problem["reference"]] if s]


def _bench(held_out: list[dict[str, Any]]) -> pl.DataFrame:
    """All n-grams that must not be shared; columns of `_BENCH`."""
    rows: list[dict[str, Any]] = []
    for problem in held_out:
        for i, solution in enumerate(_solutions(problem)):
            length, unit = len(tokens(solution)), f"solution {i}"
            if problem["source"] == "family" and length >= COVERAGE_TOKENS:
                rows += _grams("verbatim", length, problem, "identity", solution)
            rows += _grams("verbatim", VERBATIM_TOKENS, problem, unit, solution)
            if length >= MIN_SHORT_TOKENS:
                rows += _grams("tokens", length if _is_short(length) else COVERAGE_TOKENS, problem, unit, solution)
            rows += _grams("doc", DOC_WORDS, problem, unit, solution)
        rows += _grams("verbatim", VERBATIM_TOKENS, problem, "tests", problem["test_code"] or "")
        rows += _grams("doc", DOC_WORDS, problem, "tests", problem["test_code"] or "")
        rows += _grams("doc", DOC_WORDS, problem, "doc", problem["doc"])
    return pl.DataFrame(rows, schema=_BENCH)


def _is_short(length: int) -> bool:
    """Fewer than ten 10-grams: all of it, or nothing."""
    return length < 2 * COVERAGE_TOKENS - 1


def _grams(rule: str, n: int, problem: dict[str, Any], unit: str, text: str) -> Iterator[dict[str, Any]]:
    """One row for each distinct n-gram of one text of a held-out problem."""
    found = Wanted([(_VIEWS[rule], n)], None).find(pl.Series([text]))
    distinct, first = np.unique(found.hashes, return_index=True)
    parts = spelled(_VIEWS[rule], text)
    for gram, place in zip(distinct.tolist(), found.places[first].tolist(), strict=True):
        window = parts[place : place + n]
        if unit != "identity" and sum(len(part) > 1 and part[0].isalpha() for part in window) < _MIN_WORDS[rule]:
            continue
        yield {
            "gram": gram, "rule": rule, "n": n, "problem_id": problem["problem_id"], "unit": unit,
            "size": len(distinct), "length": len(parts), "family": problem["source"] == "family",
            "text": " ".join(window),
        }  # fmt: skip


def _batches(training: pl.LazyFrame, bench: pl.DataFrame) -> Iterator[pa.RecordBatch]:
    """The n-grams of the training rows that may be shared, as (row, keyed, place, gram)."""
    identity = pl.col("unit") == "identity"
    wanted = {keyed: _wanted(bench.filter(pl.lit(keyed) | ~identity)) for keyed in (False, True)}
    first = 0
    read = training.select("text", "split_key").collect_batches(chunk_size=_READ_ROWS, maintain_order=True)
    for batch in (part for whole in read for part in whole.iter_slices(_BATCH_ROWS)):
        for keyed, kinds in wanted.items():
            chosen = (batch["split_key"].is_not_null() == keyed).arg_true()
            found = kinds.find(batch["text"].gather(chosen))
            rows = chosen.to_numpy().astype(np.int64)[found.rows] + first
            arrays = (rows, np.full(len(rows), keyed), found.places, found.hashes)
            yield pa.record_batch([pa.array(array) for array in arrays], schema=_GRAMS)
        first += len(batch)


def _wanted(bench: pl.DataFrame) -> Wanted:
    kinds = bench.select("rule", "n").unique().sort("rule", "n").rows()
    return Wanted([(_VIEWS[rule], n) for rule, n in kinds], bench["gram"].to_numpy())


def _whole_rows(shared: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    """Batches of the sorted hits in which no row is cut in two."""
    held = shared.head(0).collect()
    for batch in shared.collect_batches(chunk_size=_BATCH_HITS, maintain_order=True):
        both = pl.concat([held, batch])
        last = pl.col("row") == both["row"].last()
        held = both.filter(last)
        yield both.filter(~last)
    yield held


class _Rules:
    """What breaks which rule, of the n-grams that rows share with the held-out problems."""

    def __init__(self, bench: pl.DataFrame) -> None:
        covering = (pl.col("rule") == "tokens") & (pl.col("n") < pl.col("length"))
        self._covering = Coverage(bench.filter(covering), MIN_COVERAGE, _PIECE)
        # One shared n-gram is enough, whichever text of the problem it is from.
        same = ["gram", "problem_id", "rule", "family"]
        self._any = bench.filter(~covering).with_columns(is_identity=pl.col("unit") == "identity")
        self._any = self._any.sort(*same, "is_identity", "text").unique([*same, "is_identity"], keep="first")

    def broken(self, shared: pl.DataFrame) -> pl.DataFrame:
        """Rules that rows break; columns of `_FOUND`."""
        # See the module's text for rows with a split key.
        compared = pl.col("is_identity") | ~pl.col("family") | ~pl.col("keyed")
        place = pl.when(pl.col("rule") == "tokens").then("place")
        one = (
            shared.join(self._any, on="gram")
            .filter(compared)
            .group_by("row", "problem_id", "rule")
            .agg(matched=pl.col("text").min(), places=place.drop_nulls().unique().sort())
            .with_columns(places=pl.when(pl.col("rule") == "tokens").then("places"))
        )
        covered = self._covering.pieces(shared).select(
            "row", "problem_id", rule=pl.lit("tokens"), matched=pl.col("text"), places=pl.lit(None, pl.List(pl.Int64))
        )
        return pl.concat([one.select(*_FOUND), covered.select(*_FOUND)])


def _named(training: pl.LazyFrame, broken: pl.DataFrame, problems: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Report rows of what was found, without the short solutions that differ after all."""
    if broken.is_empty():
        return
    short = {
        problem["problem_id"]: [part for s in _solutions(problem) if _is_short(len(part := symbols(tokens(s))))]
        for problem in problems.iter_rows(named=True)
    }
    rows = broken["row"].unique().sort()
    texts = training.select("table", "row_id", "text").with_row_index("row").with_columns(pl.col("row").cast(pl.Int64))
    for batch in texts.filter(pl.col("row").is_in(rows.implode())).collect_batches(chunk_size=_READ_ROWS):
        named = batch.join(broken, on="row")
        doubtful = named.filter(pl.col("places").is_not_null())
        equal = [
            _stands(row["text"], row["places"], short[row["problem_id"]]) for row in doubtful.iter_rows(named=True)
        ]
        sure = named.filter(pl.col("places").is_null())
        yield pl.concat([sure, doubtful.filter(pl.Series(equal, dtype=pl.Boolean))]).select(*_KEY, "matched")


def _stands(text: str, places: list[int], solutions: list[list[str]]) -> bool:
    """Whether one of the solutions stands at one of the places, names apart from literals."""
    parts = symbols(tokens(text))
    return any(parts[place : place + len(s)] == s for place in places for s in solutions)


def _key_hits(training: pl.LazyFrame, held_out: pl.DataFrame) -> pl.DataFrame:
    keys = held_out.select("problem_id", "split_key")
    return (
        training.select("table", "row_id", "split_key")
        .join(keys.lazy(), on="split_key")
        .select("table", "row_id", "problem_id", rule=pl.lit("split_key"), matched=pl.col("split_key"))
        .collect(engine="streaming")
    )


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

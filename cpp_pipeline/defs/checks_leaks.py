"""Checks of what must not be in the training data: held-out problems, what is near them, and duplicates.

Each holds the rows of a table against one other table, which is upstream of it. All of them block.
Does not belong here: how closeness is found (`curate/decontaminate`), the token shards (`checks_folders`).
"""

import dagster as dg
import polars as pl

from cpp_pipeline.corpus.cmake import HELD_OUT, answer_key, request_key
from cpp_pipeline.schemas import TABLES
from cpp_pipeline.storage.checks import asset_check, told

_ID = pl.col("problem_id")
_PAIR_ID = pl.col("row_id").str.strip_prefix("docstring/")
_IS_PROBLEM = pl.col("source").is_in(["reference", "pass_k", "repair"])
_OF_COMBINED = pl.when(_IS_PROBLEM).then("provenance").otherwise(pl.col("row_id").str.replace("^(docstring|diff)/", ""))
"""The id of the row that a supervised row is made from."""


def _apart(
    table: str, name: str, description: str, key: pl.Expr, other: str, theirs: pl.Expr
) -> dg.AssetChecksDefinition:
    """A check that no row has a `key` that is among `theirs` of the table `other`; a null key is nobody's."""

    @asset_check(
        asset=table, name=name, blocking=True, description=description, additional_ins={"other": dg.AssetIn(other)}
    )
    def check(asset: pl.LazyFrame, other: pl.LazyFrame) -> dg.AssetCheckResult:
        taken = other.select(taken=theirs).unique()
        found = asset.select(*TABLES[table].key, asked=key).join(taken, left_on="asked", right_on="taken", how="semi")
        return told(found.select(TABLES[table].key))

    return check


def _bare(code: pl.Expr) -> pl.Expr:
    """Code without blanks."""
    return code.str.replace_all(r"\s+", "")


def _no_problem(table: str, key: pl.Expr, theirs: pl.Expr = _ID) -> dg.AssetChecksDefinition:
    words = "No row comes from a held-out problem, or shares its ingredients (`split_key`)."
    return _apart(table, "no_held_out_problem", words, key, "eval_problems", theirs)


def _no_solution(table: str, key: pl.Expr) -> dg.AssetChecksDefinition:
    words = "No answer is a known solution of a held-out problem, blanks apart; samples of the model are not asked."
    theirs = _bare(pl.col("references").explode().drop_nulls())
    return _apart(table, "no_held_out_solution", words, key, "eval_problems", theirs)


def _no_project(name: str, what: str, mine: pl.Expr, theirs: pl.Expr) -> dg.AssetChecksDefinition:
    words = f"No row {what} the same as a held-out CMake project."
    return _apart("combined_cmake", name, words, mine, "cmake_problems", theirs.filter(HELD_OUT))


def _not_near(table: str, key: pl.Expr) -> dg.AssetChecksDefinition:
    words = "No row comes from one that the decontamination report names."
    return _apart(table, "nothing_near_held_out", words, key, "decontamination_report", pl.col("row_id"))


def _no_duplicate(table: str, key: pl.Expr) -> dg.AssetChecksDefinition:
    words = "No row comes from a function that is left out for a better one, over all dumps."
    return _apart(table, "near_duplicates_are_out", words, key, "duplicate_pairs", pl.col("pair_id"))


leak_checks = [
    _no_problem("train_problems", pl.col("split_key"), pl.col("split_key")),
    _no_problem("pass_k_sft", _ID),
    _no_problem("combined_sft", pl.when(_IS_PROBLEM).then("provenance")),
    _no_problem("preference_pairs", _ID),
    _no_problem("gspo_prompts", _ID),
    _no_solution("docstring_sft", _bare(pl.col("response"))),
    _no_solution("combined_sft", pl.when(pl.col("source") != "pass_k").then(_bare(pl.col("response")))),
    _no_project("no_held_out_request", "asks", *map(request_key, (pl.col("instruction"), pl.col("instruction")))),
    _no_project("no_held_out_answer", "answers", *map(answer_key, (pl.col("response"), pl.col("reference")))),
    _not_near("docstring_sft", _PAIR_ID),
    _not_near("pass_k_sft", _ID),
    _not_near("combined_sft", _OF_COMBINED),
    _not_near("preference_pairs", _ID),
    _not_near("gspo_prompts", _ID),
    _no_duplicate("train_problems", _ID.str.strip_prefix("mined/")),
    _no_duplicate("docstring_sft", _PAIR_ID),
]


def _known_problem(table: str) -> dg.AssetChecksDefinition:
    @asset_check(
        asset=table,
        name="problem_is_for_training",
        blocking=True,
        description="Every row is of a problem of train_problems.",
        additional_ins={"other": dg.AssetIn("train_problems")},
    )
    def check(asset: pl.LazyFrame, other: pl.LazyFrame) -> dg.AssetCheckResult:
        key = TABLES[table].key
        return told(asset.select(*key, "problem_id").join(other.select("problem_id"), on="problem_id", how="anti"))

    return check


known_problem_checks = [
    _known_problem(name) for name in ("repair_rows", "near_misses", "pass_k_solutions", "sft_pass_k_solutions")
]


@asset_check(
    asset="decontamination_report",
    blocking=True,
    description="At most 2 % of the training rows are too close to a held-out problem; "
    "more means that a benchmark is inside a dump. The rows named here are not trained on.",
    additional_ins={n: dg.AssetIn(n) for n in ("clean_files", "docstring_pairs", "diff_sft", "train_problems")},
)
def few_rows_near_held_out(
    asset: pl.LazyFrame,
    clean_files: pl.LazyFrame,
    docstring_pairs: pl.LazyFrame,
    diff_sft: pl.LazyFrame,
    train_problems: pl.LazyFrame,
) -> dg.AssetCheckResult:
    """Count the rows named by the report against all that was compared."""
    hits = asset.select("table", "row_id").unique().select(pl.len()).collect(engine="streaming").item()
    compared = (clean_files, docstring_pairs, diff_sft, train_problems)
    rows = sum(f.select(pl.len()).collect().item() for f in compared)
    return dg.AssetCheckResult(passed=hits <= 0.02 * rows + 5, metadata={"hits": hits, "rows": rows})

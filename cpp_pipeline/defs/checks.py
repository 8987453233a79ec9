"""Checks of tables: each against its declaration, and what its rows have to mean before they are used.

All of them block. None holds a table: rows are streamed, and of offending ones a number and five keys are kept.
Does not belong here: what two tables say together (`checks_leaks`), folders (`checks_folders`).
"""

from collections.abc import Callable
from fractions import Fraction

import dagster as dg
import polars as pl

from cpp_pipeline.curate.files import is_permissive
from cpp_pipeline.rollouts.preference import MIN_MARGIN, MIN_SIMILARITY
from cpp_pipeline.schemas import TABLES, Table
from cpp_pipeline.storage.assets import repo_dumps
from cpp_pipeline.storage.checks import asset_check, told

Offenders = Callable[[pl.LazyFrame], pl.LazyFrame]
_PASSED, _TOTAL, _SCORE = pl.col("tests_passed"), pl.col("tests_total"), pl.col("score")
_SCORES = pl.element().struct.field("score")


def _fits_schema(table: Table) -> dg.AssetChecksDefinition:
    @asset_check(
        asset=table.name,
        name="fits_schema",
        blocking=True,
        partitions_def=repo_dumps if table.partitioned else None,
        description="Columns, types, nulls, ranges, closed sets and keys are as declared.",
    )
    def fits_schema(asset: pl.LazyFrame) -> dg.AssetCheckResult:
        broken = table.violations(table.conform(asset))
        return dg.AssetCheckResult(passed=not broken, metadata={"broken": dg.MetadataValue.json(broken)})

    return fits_schema


def _rows(table: str, name: str, description: str, offenders: pl.Expr | Offenders) -> dg.AssetChecksDefinition:
    """A check that no row offends."""

    @asset_check(
        asset=table,
        name=name,
        blocking=True,
        description=description,
        partitions_def=repo_dumps if TABLES[table].partitioned else None,
    )
    def check(asset: pl.LazyFrame) -> dg.AssetCheckResult:
        found = asset.filter(offenders) if isinstance(offenders, pl.Expr) else offenders(asset)
        return told(found.select(TABLES[table].key))

    return check


def _has_rows(table: str) -> dg.AssetChecksDefinition:
    @asset_check(asset=table, name="has_rows", blocking=True, description="There is something to go on with.")
    def has_rows(asset: pl.LazyFrame) -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=not asset.head(1).collect().is_empty())

    return has_rows


def _not_to_be_learned(files: pl.LazyFrame) -> pl.LazyFrame:
    """Files that curation should have dropped."""
    licences = files.select(pl.col("licence").unique().drop_nulls()).collect(engine="streaming").to_series()
    refused = [name for name in licences if not is_permissive(name)]
    marks = ("is_test", "is_vendored", "is_generated", "is_amalgamated")
    return files.filter(pl.any_horizontal(pl.col("licence").is_in(refused), *marks))


def _on_both_sides(column: str) -> Offenders:
    def training_rows(rows: pl.LazyFrame) -> pl.LazyFrame:
        held_out = rows.filter(split="eval").select(column).unique()
        return rows.filter(split="train").join(held_out, on=column, how="semi")

    return training_rows


def _blank(*columns: str) -> pl.Expr:
    return pl.any_horizontal(pl.col(c).str.strip_chars() == "" for c in columns)


_VERDICT_DISAGREES = pl.any_horizontal(
    pl.col("verdict").is_null() == pl.col("error").is_null(),
    pl.col("verdict").is_null() & _SCORE.is_not_null(),
    ((pl.col("verdict") == "AC") != ((_PASSED == _TOTAL) & (_TOTAL > 0))).fill_null(False),
    ((_SCORE - _PASSED / _TOTAL).abs() > 1e-9).fill_null(False),
    pl.col("count") > pl.col("k"),
)

_CHOSEN = pl.col("chosen_passed")
_GAIN, _LEAST = _CHOSEN - pl.col("rejected_passed"), Fraction(str(MIN_MARGIN))
_NO_PREFERENCE = pl.any_horizontal(
    _CHOSEN > _TOTAL,
    _GAIN * _LEAST.denominator < _TOTAL * _LEAST.numerator,
    (pl.col("margin") - _GAIN / _TOTAL).abs() > 1e-9,
    pl.col("chosen_passes_all") != (_CHOSEN == _TOTAL),
    pl.col("similarity") <= MIN_SIMILARITY,
    pl.col("chosen") == pl.col("rejected"),
)

schema_checks = [_fits_schema(table) for table in TABLES.values()]

filled_checks = [
    _has_rows(name)
    for name in ("eval_problems", "train_problems", "combined_sft", "combined_cmake", "gspo_prompts", "router_sft")
]

row_checks = [
    _rows(
        "sandbox_canaries",
        "sandbox_is_right",
        "Every program of known verdict got it and no attack gained a test; else no verdict is believed.",
        ~pl.col("ok"),
    ),
    _rows(
        "clean_files",
        "may_be_learned_from",
        "No file has a licence that is not permissive, or is marked as test, third-party, generated or amalgamated.",
        _not_to_be_learned,
    ),
    _rows(
        "docstring_pairs",
        "function_contains_its_body",
        "The body is a part of the code, and the code is one line or more of its file.",
        ~pl.col("code").str.contains(pl.col("body"), literal=True) | (pl.col("end_line") < pl.col("line")),
    ),
    _rows(
        "diff_sft",
        "repair_changes_something",
        "Before and after differ.",
        pl.col("before") == pl.col("after"),
    ),
    _rows(
        "duplicate_pairs",
        "what_is_kept_stays",
        "No row is left out for one that is left out itself.",
        lambda f: f.join(f.select("pair_id"), left_on="kept_pair_id", right_on="pair_id", how="semi"),
    ),
    _rows(
        "cmake_problems",
        "sides_are_apart",
        "No project is both trained on and held out.",
        _on_both_sides("reference"),
    ),
    _rows(
        "router_sft",
        "phrasings_are_apart",
        "No phrasing is both trained on and held out.",
        _on_both_sides("template_id"),
    ),
    _rows(
        "repair_rows",
        "mutant_fails",
        "What is to be repaired differs from the repair and fails a test.",
        (_PASSED >= _TOTAL) | (pl.col("before") == pl.col("after")),
    ),
    _rows(
        "near_misses",
        "chosen_beats_rejected",
        "Rejected differs from chosen and fails a test, of five at most one.",
        (pl.col("chosen") == pl.col("rejected")) | (_PASSED >= _TOTAL) | ((_TOTAL - _PASSED) * 5 > _TOTAL),
    ),
    *(
        _rows(
            name,
            "verdict_agrees_with_tests",
            "A row has a verdict or an error; AC is all tests passed, the score their share; at most k samples.",
            _VERDICT_DISAGREES,
        )
        for name in ("pass_k_solutions", "sft_pass_k_solutions")
    ),
    _rows(
        "pass_k_sft",
        "all_solutions_pass",
        "Every solution that is learned from passed all its tests.",
        pl.col("solutions").list.eval(_SCORES.ne_missing(1.0)).list.any(),
    ),
    *(
        _rows(name, "nothing_is_blank", "Every row asks something and answers it.", _blank("instruction", "response"))
        for name in ("docstring_sft", "combined_sft", "cmake_sft", "combined_cmake")
    ),
    _rows(
        "preference_pairs",
        "chosen_beats_rejected",
        "Chosen passes more tests than rejected, by the least margin or more; margin and flag are what the counts "
        "say; the two are similar but not equal.",
        _NO_PREFERENCE,
    ),
    _rows(
        "gspo_prompts",
        "answers_are_told_apart",
        "Every known answer passes, every negative sample does not.",
        pl.col("reference_solutions").list.eval(_SCORES.ne_missing(1.0)).list.any()
        | pl.col("negative_samples").list.eval(~(_SCORES < 1.0).fill_null(False)).list.any(),
    ),
]

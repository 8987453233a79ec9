"""Supervised rows: what is learned from documented functions, solutions and repairs.

Belongs here: instruction and response of each source, which rows are chosen, their weights.
Does not belong here: tokens and templates (`formats`, `tokenizer`), sampling of solutions (`rollouts`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import Any

import polars as pl

from cpp_pipeline.corpus.fim import stable_seed
from cpp_pipeline.corpus.formats import chat_text
from cpp_pipeline.corpus.sources import stream_rows
from cpp_pipeline.curate.tokens import normalised
from cpp_pipeline.models.presets import Preset
from cpp_pipeline.problems.rows import chat_instruction, quarantine_row
from cpp_pipeline.schemas import SOLUTION, TABLES

Row = dict[str, Any]

STYLES = 2
"""Reference solutions, and sampled solutions, taken of one problem."""
MIN_QUALITY = 0.5
"""Documented functions below it say too little about their code."""
DOCSTRING_ROWS_PER_PROBLEM = 10
AUXILIARY_ROWS_PER_PROBLEM = 2
"""Each of docstring, diff and repair gives at most this many rows per chosen problem, so that their share
of the sampling weight stays that of `docstring_weight`."""
CHARACTERS_PER_TOKEN = 3.5
"""Chat text longer than this times the preset's row is quarantined."""


def excluded(report: pl.LazyFrame) -> frozenset[str]:
    """Ids of the training rows that decontamination_report names, over all tables."""
    return frozenset(report.select(pl.col("row_id").unique()).collect().to_series().to_list())


def kept_problems(rows: pl.LazyFrame, report: pl.LazyFrame) -> pl.LazyFrame:
    """Rows of training problems, or of what was made from them, without the problems that the report names.

    `rows` has the column `problem_id`; its order is kept.
    """
    named = report.filter(table="train_problems").select(problem_id="row_id").unique()
    return rows.join(named, on="problem_id", how="anti", maintain_order="left")


def chosen_problems(problems: pl.LazyFrame, n: int, seed: int) -> pl.LazyFrame:
    """At most `n` problems with a reference, chosen by hash of (seed, id), in that order.

    The base model is sampled on the same problems that combined_sft draws on.
    """
    usable = problems.filter(pl.col("reference") != "")
    ids = usable.select("problem_id").collect().to_series().to_list()
    order = sorted(ids, key=lambda i: (stable_seed("sft problem", seed, i), i))[:n]
    kinds = {"problem_id": pl.String, "rank": pl.Int64}
    ranks = pl.LazyFrame({"problem_id": order, "rank": range(len(order))}, schema=kinds)
    return ranks.join(usable, on="problem_id", how="left").sort("rank").select(usable.collect_schema().names())


def docstring_sft(pairs: pl.LazyFrame, excluded_ids: Collection[str], preset: Preset, seed: int) -> pl.LazyFrame:
    """Documented functions as instruction (documentation and signature) and response (function).

    Parameters
    ----------
    pairs
        Frame of docstring_pairs. Rows with a parse error or quality below MIN_QUALITY are no examples;
        of equal functions the first by pair_id stays.
    preset
        Sets how many rows are taken; the choice among all is by hash of (seed, id).
    """
    limit = DOCSTRING_ROWS_PER_PROBLEM * preset.sft_problems
    good = pairs.filter(
        ~pl.col("has_parse_error") & (pl.col("quality") >= MIN_QUALITY) & (pl.col("doc").str.strip_chars() != "")
    )
    keys = good.group_by("token_sha256").agg(pl.col("pair_id").min()).select("pair_id").collect()["pair_id"]
    kept = [i for i in keys.to_list() if i not in excluded_ids]
    chosen = sorted(kept, key=lambda i: (stable_seed("docstring", seed, i), i))[:limit]
    rows = good.join(pl.LazyFrame({"pair_id": chosen}, schema={"pair_id": pl.String}), on="pair_id", how="semi")
    return TABLES["docstring_sft"].frame([_docstring_row(r) for r in stream_rows(rows.sort("pair_id"))])


def _docstring_row(pair: Row) -> Row:
    return _row(
        f"docstring/{pair['pair_id']}",
        "docstring",
        chat_instruction(pair["signature"], pair["doc"].strip()),
        pair["code"].rstrip() + "\n",
        weight=1.0,
        licence=pair["licence"],
        provenance=f"{pair['dump']}/{pair['repo']}/{pair['path']}:{pair['line']}",
    )


def pass_k_sft(solutions: pl.LazyFrame, problems: pl.LazyFrame) -> pl.LazyFrame:
    """Each solved problem with all its distinct accepted solutions, the most frequent first.

    Solutions come merged by their normal text, so that they are distinct; rows with an error of our own
    have no verdict and are never accepted.
    """
    accepted = (
        solutions.filter((pl.col("verdict") == "AC") & pl.col("error").is_null())
        .unique("solution_id")
        .sort(["problem_id", "count", "solution_id"], descending=[False, True, False])
        .group_by("problem_id", maintain_order=True)
        .agg(solutions=pl.struct("code", "score"))
    )
    joined = accepted.join(problems.select("problem_id", "instruction", "licence"), on="problem_id", how="inner")
    rows = joined.sort("problem_id").with_columns(pl.col("solutions").cast(pl.List(SOLUTION)))
    return TABLES["pass_k_sft"].conform(rows.select("problem_id", "instruction", "solutions", "licence"))


def repair_instruction(instruction: str, before: str, failing_test: str) -> str:
    """Request to repair a function: the task, the code as it is, the first failing test."""
    return f"{instruction}\nThis code is wrong:\n{before.rstrip()}\nIt fails {failing_test}\nWrite it correctly."


def combined_sft(
    docstring_rows: pl.LazyFrame,
    pass_k_rows: pl.LazyFrame,
    diff_rows: pl.LazyFrame,
    repair_rows: pl.LazyFrame,
    problems: pl.LazyFrame,
    excluded_ids: Collection[str],
    preset: Preset,
    seed: int,
) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """All supervised rows with their weights, and those that are too long.

    Reference and pass_k rows have weight 1, the others `preset.docstring_weight`. The size is bounded by
    `preset.sft_problems`, whatever the tables hold; the choice is by hash of (seed, id).

    Parameters
    ----------
    docstring_rows, pass_k_rows, diff_rows, repair_rows, problems
        Frames of docstring_sft, pass_k_sft, diff_sft, repair_rows and train_problems.
    excluded_ids
        Rows not to be trained on (`excluded`).

    Returns
    -------
    (combined_sft, combined_sft_quarantine)
    """
    kept = problems.filter(~pl.col("problem_id").is_in(list(excluded_ids)))
    chosen = list(stream_rows(chosen_problems(kept, preset.sft_problems, seed)))
    limit = AUXILIARY_ROWS_PER_PROBLEM * preset.sft_problems
    budget = int(CHARACTERS_PER_TOKEN * min(preset.seq_tokens, preset.shape.context))
    good: list[Row] = []
    bad: list[Row] = []

    def take(rows: Iterator[Row], most: int | None) -> None:
        taken = 0
        for row in rows:
            if most is not None and taken == most:
                return
            length = len(chat_text(row["instruction"], row["response"]))
            if length > budget:
                detail = f"{row['provenance']}: {length} characters, {budget} fit"
                bad.append(quarantine_row(row["row_id"], "too long", detail, row["response"]))
            else:
                good.append(row)
                taken += 1

    weight = preset.docstring_weight
    take(_solution_rows(chosen, pass_k_rows), None)
    take(({**r, "weight": weight} for r in _shuffled(docstring_rows, "row_id", seed, excluded_ids)), limit)
    take((_diff_row(r, weight) for r in _shuffled(diff_rows, "row_id", seed, excluded_ids)), limit)
    take(_repairs(repair_rows, kept, weight, seed, excluded_ids), limit)
    return TABLES["combined_sft"].frame(good), TABLES["combined_sft_quarantine"].frame(bad)


def _solution_rows(problems: list[Row], pass_k_rows: pl.LazyFrame) -> Iterator[Row]:
    """References, then the model's own solutions that differ from them, at most STYLES of each."""
    wanted = pl.LazyFrame({"problem_id": [p["problem_id"] for p in problems]}, schema={"problem_id": pl.String})
    sampled = {r["problem_id"]: r["solutions"] for r in stream_rows(pass_k_rows.join(wanted, on="problem_id"))}
    for problem in problems:
        name, seen = problem["problem_id"], set[str]()
        found = {
            "reference": problem["references"] or [problem["reference"]],
            "pass_k": [s["code"] for s in sampled.get(name, [])],
        }
        for source, codes in found.items():
            fresh = [c for c in codes if normalised(c) not in seen][:STYLES]
            seen.update(map(normalised, fresh))
            for number, code in enumerate(fresh):
                row_id, licence = f"{source}/{name}/{number}", problem["licence"]
                instruction = problem["instruction"]
                yield _row(row_id, source, instruction, code, weight=1.0, licence=licence, provenance=name)


def _diff_row(row: Row, weight: float) -> Row:
    place = f"{row['dump']}/{row['repo']}@{row['commit']}:{row['path']}"
    instruction = f"{row['instruction'].strip()}\n{row['before'].rstrip()}"
    return _row(
        f"diff/{row['row_id']}",
        "diff",
        instruction,
        row["after"],
        weight=weight,
        licence=row["licence"],
        provenance=place,
    )


def _repairs(
    rows: pl.LazyFrame, problems: pl.LazyFrame, weight: float, seed: int, excluded_ids: Collection[str]
) -> Iterator[Row]:
    tasks = problems.select("problem_id", "instruction", "licence")
    for row in _shuffled(rows.join(tasks, on="problem_id"), "row_id", seed, excluded_ids):
        instruction = repair_instruction(row["instruction"], row["before"], shown_test(row["failing_test"]))
        yield _row(
            row["row_id"],
            "repair",
            instruction,
            row["after"],
            weight=weight,
            licence=row["licence"],
            provenance=row["problem_id"],
        )


def shown_test(failing_test: str) -> str:
    """A failed test on one line, from its JSON: `[1,2] -> 3, not 4`."""
    test = json.loads(failing_test)
    arguments = ", ".join(_compact(a) for a in test["args"])
    actual = test.get("actual")
    return f"{arguments} -> {_compact(test['expected'])}" + ("" if actual is None else f", not {_compact(actual)}")


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _shuffled(frame: pl.LazyFrame, key: str, seed: int, excluded_ids: Collection[str]) -> Iterator[Row]:
    """Rows in the order of hash(seed, key), streamed: only the keys are held."""
    ids = [i for i in frame.select(key).collect().to_series().to_list() if i not in excluded_ids]
    order = sorted(ids, key=lambda i: (stable_seed("sft", seed, i), i))
    ranks = pl.LazyFrame({key: order, "rank": range(len(order))}, schema={key: pl.String, "rank": pl.Int64})
    columns = frame.collect_schema().names()
    yield from stream_rows(frame.join(ranks, on=key).sort("rank").select(columns))


def _row(
    row_id: str,
    source: str,
    instruction: str,
    response: str,
    *,
    weight: float,
    licence: str | None,
    provenance: str,
) -> Row:
    return {
        "row_id": row_id,
        "source": source,
        "instruction": instruction,
        "response": response,
        "weight": weight,
        "licence": licence,
        "provenance": provenance,
    }

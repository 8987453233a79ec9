"""Tables that are learned from: judged samples, supervised rows, preferences and prompts."""

from __future__ import annotations

import polars as pl

from cpp_pipeline.schemas.columns import (
    INSTRUCTION,
    LICENCE,
    NEGATIVE,
    SFT_COLUMNS,
    SIGNATURE,
    SOLUTION,
    SOLUTION_COLUMNS,
    TESTS,
    B,
    F,
    I,
    S,
    column,
)
from cpp_pipeline.schemas.table import Table

LEARNING_TABLES = (
    Table(
        "pass_k_solutions",
        "Distinct solutions that the base model gave, judged.",
        SOLUTION_COLUMNS,
        ("solution_id",),
        sources={
            "problem_id": "train_problems.*",
            "solution_id": "train_problems.problem_id and a hash of the code",
            "prompt": "train_problems.doc train_problems.signature",
            "k": "the preset",
            "sample_id code count n_tokens truncated": (
                "sampled from base_checkpoint with train_problems.doc train_problems.signature"
            ),
            "*": (
                "judged in the sandbox with train_problems.tests train_problems.preamble: samples for "
                "train_problems.doc train_problems.signature"
            ),
        },
    ),
    Table(
        "sft_pass_k_solutions",
        "Distinct solutions that the SFT model gave, judged.",
        SOLUTION_COLUMNS,
        ("solution_id",),
        sources={
            "problem_id": "train_problems.*",
            "solution_id": "train_problems.problem_id and a hash of the code",
            "prompt": "train_problems.instruction",
            "k": "the preset",
            "sample_id code count n_tokens truncated": ("sampled from sft_checkpoint with train_problems.instruction"),
            "*": (
                "judged in the sandbox with train_problems.tests train_problems.preamble: samples for "
                "train_problems.instruction"
            ),
        },
    ),
    Table(
        "docstring_sft",
        "A documented function as instruction and response.",
        SFT_COLUMNS,
        ("row_id",),
        sources={
            "source": "constant",
            "weight": "constant",
            "row_id": "docstring_pairs.pair_id",
            "instruction": "docstring_pairs.signature docstring_pairs.doc",
            "response": "docstring_pairs.code",
            "licence": "docstring_pairs.*",
            "provenance": ("docstring_pairs.dump docstring_pairs.repo docstring_pairs.path docstring_pairs.line"),
        },
    ),
    Table(
        "pass_k_sft",
        "A problem with all its distinct accepted solutions.",
        (
            column("problem_id", S, "problem"),
            INSTRUCTION,
            column("solutions", pl.List(SOLUTION), "accepted solutions, all with score 1"),
            LICENCE,
        ),
        ("problem_id",),
        sources={
            "problem_id": "pass_k_solutions.*",
            "instruction licence": "train_problems.*",
            "solutions": "pass_k_solutions.code pass_k_solutions.score",
        },
    ),
    Table(
        "combined_sft",
        "All supervised rows with source and weight.",
        SFT_COLUMNS,
        ("row_id",),
        sources={
            "source": "which table the row is from, or docstring_sft.source",
            "weight": "the preset",
            "row_id": "docstring_sft.row_id diff_sft.row_id repair_rows.row_id train_problems.problem_id",
            "instruction": (
                "docstring_sft.instruction train_problems.instruction diff_sft.instruction diff_sft.before "
                "repair_rows.before repair_rows.failing_test"
            ),
            "response": (
                "docstring_sft.response train_problems.reference train_problems.references pass_k_sft.solutions "
                "diff_sft.after repair_rows.after"
            ),
            "licence": "docstring_sft.licence train_problems.licence diff_sft.licence",
            "provenance": (
                "docstring_sft.provenance train_problems.problem_id diff_sft.dump diff_sft.repo diff_sft.commit "
                "diff_sft.path repair_rows.problem_id"
            ),
        },
    ),
    Table(
        "preference_pairs",
        "Two similar solutions of one problem, one clearly better on the same tests.",
        (
            column("row_id", S, "stable name"),
            column("problem_id", S, "problem"),
            INSTRUCTION,
            column("chosen", S, "better solution"),
            column("rejected", S, "worse solution"),
            column("similarity", F, "normalised Levenshtein similarity of the tokens", ge=0, le=1),
            column("margin", F, "difference of the scores; compared in test counts", ge=0, le=1),
            column("chosen_passed", I, "tests that `chosen` passes", ge=0),
            column("rejected_passed", I, "tests that `rejected` passes", ge=0),
            column("tests_total", I, "tests", ge=1),
            column("chosen_passes_all", B, "`chosen` passes every test"),
        ),
        ("row_id",),
        sources={
            "row_id": "sft_pass_k_solutions.problem_id sft_pass_k_solutions.solution_id",
            "problem_id": "sft_pass_k_solutions.*",
            "instruction": "train_problems.*",
            "chosen rejected similarity": "sft_pass_k_solutions.code",
            "tests_total": "sft_pass_k_solutions.*",
            "chosen_passed rejected_passed": "sft_pass_k_solutions.tests_passed",
            "margin chosen_passes_all": "sft_pass_k_solutions.tests_passed sft_pass_k_solutions.tests_total",
        },
    ),
    Table(
        "gspo_prompts",
        "A prompt for GSPO with its tests, known answers and estimated pass rate.",
        (
            column("problem_id", S, "problem"),
            INSTRUCTION,
            SIGNATURE,
            column("entry_point", S, "name of the function under test"),
            column("preamble", S, "includes and helpers; may be empty"),
            TESTS,
            column("n_tests", I, "number of tests", ge=1),
            column("reference_solutions", pl.List(SOLUTION), "accepted solutions"),
            column("negative_samples", pl.List(NEGATIVE), "failed solutions with the kind of failure"),
            column("pass_rate", F, "share of the SFT samples that pass", nullable=True, ge=0, le=1),
        ),
        ("problem_id",),
        sources={
            "reference_solutions": ("train_problems.references sft_pass_k_solutions.code sft_pass_k_solutions.verdict"),
            "negative_samples": ("sft_pass_k_solutions.code sft_pass_k_solutions.score sft_pass_k_solutions.verdict"),
            "pass_rate": "sft_pass_k_solutions.verdict sft_pass_k_solutions.count",
            "*": "train_problems.*",
        },
    ),
)

"""Tables of problems: held out, for training, their mutants, and what is too close to the held-out ones."""

from __future__ import annotations

from cpp_pipeline.schemas.columns import PROBLEM_COLUMNS, I, S, column
from cpp_pipeline.schemas.table import Table

PROBLEM_TABLES = (
    Table(
        "eval_problems",
        "Held-out problems; only evaluation and decontamination read them.",
        PROBLEM_COLUMNS,
        ("problem_id",),
        sources={
            "*": "generated, bundled or the user's, with references judged in the sandbox",
        },
    ),
    Table(
        "train_problems",
        "Problems for training: own, generated, and mined from documented functions.",
        PROBLEM_COLUMNS,
        ("problem_id",),
        sources={
            "source": "which of the three sources the row is from",
            "test_code": "bundled",
            "problem_id": "generated, bundled or docstring_pairs.pair_id",
            "split_key": "generated, bundled or docstring_pairs.dump docstring_pairs.repo",
            "doc": "generated, bundled or docstring_pairs.doc",
            "instruction": "generated, bundled or docstring_pairs.signature docstring_pairs.doc",
            "signature entry_point": "generated, bundled or docstring_pairs.signature",
            "preamble": "bundled or docstring_pairs.context docstring_pairs.code",
            "licence": "bundled or docstring_pairs.licence",
            "provenance": (
                "generated, bundled or docstring_pairs.dump docstring_pairs.repo docstring_pairs.path "
                "docstring_pairs.line"
            ),
            "reference references": (
                "generated, bundled or docstring_pairs.signature docstring_pairs.body, judged in the sandbox"
            ),
            "tests n_tests": (
                "generated, bundled or what docstring_pairs.body returned in the sandbox for docstring_pairs.signature"
            ),
            "mutation_score": "mutants of docstring_pairs.body judged in the sandbox",
        },
    ),
    Table(
        "repair_rows",
        "A mutant of a reference, the first test that it fails, and the reference.",
        (
            column("row_id", S, "stable name"),
            column("problem_id", S, "problem"),
            column("operator", S, "mutation operator"),
            column("before", S, "mutant"),
            column("failing_test", S, "JSON of the first failing test"),
            column("after", S, "reference"),
            column("tests_passed", I, "tests that the mutant passes", ge=0),
            column("tests_total", I, "tests", ge=1),
        ),
        ("row_id",),
        sources={
            "row_id": "train_problems.problem_id and a hash of the mutant",
            "problem_id": "train_problems.*",
            "operator before": "a mutant of train_problems.reference",
            "after": "train_problems.reference",
            "*": "mutants of train_problems.reference judged in the sandbox with train_problems.tests",
        },
    ),
    Table(
        "near_misses",
        "A correct solution and a neighbour one mutation away that fails few tests.",
        (
            column("row_id", S, "stable name"),
            column("problem_id", S, "problem"),
            column("chosen", S, "passes all tests"),
            column("rejected", S, "fails at most a fifth of the tests"),
            column("tests_passed", I, "tests that `rejected` passes", ge=0),
            column("tests_total", I, "tests", ge=1),
        ),
        ("row_id",),
        sources={
            "row_id": "train_problems.problem_id and a hash of the mutant",
            "problem_id": "train_problems.*",
            "chosen": "train_problems.reference",
            "rejected": "a mutant of train_problems.reference",
            "*": "mutants of train_problems.reference judged in the sandbox with train_problems.tests",
        },
    ),
    Table(
        "decontamination_report",
        "A row of a training table that is too close to a held-out problem; it is not trained on.",
        (
            column(
                "table",
                S,
                "training table",
                isin=("clean_files", "docstring_pairs", "diff_sft", "train_problems"),
            ),
            column("row_id", S, "key of the row there"),
            column("problem_id", S, "held-out problem"),
            column("rule", S, "what they share", isin=("verbatim", "tokens", "doc", "split_key")),
            column("matched", S, "the overlapping text"),
        ),
        ("table", "row_id", "problem_id", "rule"),
        sources={
            "table": "name of the table that holds the row",
            "row_id": (
                "clean_files.dump clean_files.repo clean_files.path docstring_pairs.pair_id diff_sft.row_id "
                "train_problems.problem_id"
            ),
            "problem_id": "eval_problems.*",
            "rule matched": (
                "what eval_problems.doc eval_problems.reference eval_problems.references eval_problems.test_code "
                "eval_problems.split_key share with clean_files.content docstring_pairs.doc_raw "
                "docstring_pairs.code diff_sft.instruction diff_sft.before diff_sft.after train_problems.doc "
                "train_problems.preamble train_problems.reference train_problems.references "
                "train_problems.test_code train_problems.split_key"
            ),
        },
    ),
)

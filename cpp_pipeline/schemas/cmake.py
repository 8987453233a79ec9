"""Tables of CMake projects."""

from __future__ import annotations

import polars as pl

from cpp_pipeline.schemas.columns import DUMP, FILE, INSTRUCTION, LICENCE, PATH, REPO, STRINGS, B, S, column
from cpp_pipeline.schemas.table import Table

CMAKE_TABLES = (
    Table(
        "cmake_packages",
        "A CMake package, one of its imported targets, and where that is known from.",
        (
            column("package", S, "name for find_package"),
            column("target", S, "imported target"),
            column("origin", S, "bundled table, or dump:repo:path"),
            LICENCE,
        ),
        ("package", "target", "origin"),
        sources={
            "package target": "clean_files.content",
            "origin": "clean_files.dump clean_files.repo clean_files.path",
            "*": "clean_files.*",
        },
    ),
    Table(
        "cmake_sft",
        "An instruction and the CMakeLists.txt that answers it, with a real configure's verdict.",
        (
            column("row_id", S, "stable name"),
            DUMP,
            REPO,
            PATH,
            LICENCE,
            INSTRUCTION,
            column("response", S, "CMakeLists.txt"),
            column("stage", S, "furthest stage reached", isin=("lint", "configure", "build", "test")),
            column("configure_ok", B, "cmake configured it"),
            column("build_ok", B, "it was built; null when not tried", nullable=True),
            column("targets", STRINGS, "targets that cmake reported"),
        ),
        ("row_id",),
        True,
        sources={
            "dump": "the partition",
            "repo path licence": "clean_files.*",
            "row_id": "hash of the partition, clean_files.repo clean_files.path",
            "instruction": ("what cmake is told in clean_files.content, and the names of sources in clean_files.path"),
            "response": "clean_files.content",
            "*": ("told by cmake in the sandbox about clean_files.content, with the sources in clean_files.path"),
        },
    ),
    Table(
        "cmake_problems",
        "A generated project whose right answer is known: files, instruction, reference, targets.",
        (
            column("problem_id", S, "stable name"),
            column("split", S, "side of the split", isin=("train", "eval")),
            column("split_key", S, "project family"),
            INSTRUCTION,
            column("files", pl.List(FILE), "sources of the project without CMakeLists.txt"),
            column("reference", S, "a CMakeLists.txt that builds it"),
            column("targets", STRINGS, "targets that have to exist, as kind:name"),
            column("configure_ok", B, "the reference configured in the sandbox"),
        ),
        ("problem_id",),
        sources={
            "configure_ok": "told by cmake in the sandbox",
            "*": "generated",
        },
    ),
    Table(
        "combined_cmake",
        "What the CMake specialist learns: an instruction and an answer that cmake configured.",
        (
            column("row_id", S, "stable name"),
            column("source", S, "from a dump, or a generated project", isin=("dump", "generated")),
            INSTRUCTION,
            column("response", S, "CMakeLists.txt"),
            LICENCE,
            column("provenance", S, "dump:repo:path, or problem id"),
        ),
        ("row_id",),
        sources={
            "row_id": "cmake_sft.row_id cmake_problems.problem_id",
            "source": "which of both tables the row is from",
            "instruction": "cmake_sft.instruction cmake_problems.instruction",
            "response": "cmake_sft.response cmake_problems.reference",
            "licence": "cmake_sft.licence",
            "provenance": "cmake_sft.dump cmake_sft.repo cmake_sft.path cmake_problems.problem_id",
        },
    ),
)

"""Columns and value types that several tables share."""

from __future__ import annotations

from typing import Any

import polars as pl

from cpp_pipeline.schemas.table import Column

S, I, F, B = pl.String(), pl.Int64(), pl.Float64(), pl.Boolean()  # noqa: E741
STRINGS = pl.List(pl.String())
SOLUTION = pl.Struct({"code": pl.String(), "score": pl.Float64()})
NEGATIVE = pl.Struct({"code": pl.String(), "score": pl.Float64(), "error": pl.String()})
EDITS = pl.List(pl.Struct({"start_line": pl.Int64(), "end_line": pl.Int64(), "text": pl.String()}))
FILE = pl.Struct({"path": pl.String(), "content": pl.String()})

VERDICTS = ("AC", "PA", "WA", "RE", "TLE", "MLE", "OLE", "CE", "CLE")


def column(name: str, dtype: pl.DataType, description: str, **rules: Any) -> Column:
    """A column; `rules` are the limits of `Column`."""
    return Column(name, dtype, description, **rules)


DUMP = column("dump", S, "partition key of the dump")
REPO = column("repo", S, "repository or package inside the dump; '.' when the dump is one tree")
PATH = column("path", S, "path inside the repository, '/' between parts")
LICENCE = column("licence", S, "SPDX identifier found for file or repository", nullable=True)
INSTRUCTION = column("instruction", S, "what the user asks for")
SIGNATURE = column("signature", S, "C++ declaration of the function, without the opening brace")
TESTS = column(
    "tests",
    S,
    'JSON list of {"args": [...], "expected": ...}; values by the parameter types of the prototype',
)
FILE_COLUMNS = (
    DUMP,
    REPO,
    PATH,
    column("commit", S, "commit id that was read; null outside git", nullable=True),
    LICENCE,
    column(
        "language",
        S,
        "kind of file; `header` is C++, `c_header` C, of `.h` by content",
        isin=("c", "cpp", "header", "c_header", "cmake"),
    ),
    column("sha256", S, "sha256 of the bytes as found"),
    column("size_bytes", I, "bytes as found", ge=0),
    column("is_test", B, "path or content marks test code"),
    column("is_vendored", B, "path marks third-party code"),
    column("is_generated", B, "path or content marks generated code"),
    column("is_amalgamated", B, "the file was put together from others of its project"),
    column("content", S, "text as UTF-8, LF line ends, no byte order mark"),
)
PROBLEM_COLUMNS = (
    column("problem_id", S, "stable name"),
    column("source", S, "where it is from", isin=("family", "bundled", "mined", "humaneval_x", "user")),
    column("split_key", S, "problems with one key share ingredients and stay on one side of the split"),
    column("doc", S, "documentation comment as plain text (base prompts)"),
    INSTRUCTION,
    SIGNATURE,
    column("entry_point", S, "name of the function under test"),
    column("preamble", S, "includes and helper declarations shown with the problem; may be empty"),
    TESTS,
    column("n_tests", I, "number of tests", ge=0),
    column("reference", S, "a complete accepted function; empty when the source has none"),
    column("references", STRINGS, "all known accepted functions, `reference` first"),
    column("test_code", S, "assert-style C++ tests of foreign formats", nullable=True),
    LICENCE,
    column(
        "mutation_score",
        F,
        "share of mutants of the reference that the tests kill",
        nullable=True,
        ge=0,
        le=1,
    ),
    column("provenance", S, "file:line, generator version or data set record"),
)
SOLUTION_COLUMNS = (
    column("problem_id", S, "problem of train_problems or eval_problems"),
    column("solution_id", S, "problem_id plus hash of the normalised code"),
    column("sample_id", I, "smallest sample number that gave this code", ge=0),
    column("prompt", S, "prompt text as the model saw it"),
    column("code", S, "complete function, ready to judge"),
    column("count", I, "how many of the k samples normalise to this code", ge=1),
    column("k", I, "samples drawn for the problem", ge=1),
    column("verdict", S, "null when `error` is set", nullable=True, isin=VERDICTS),
    column("compile_ok", B, "the code compiled", nullable=True),
    column("tests_passed", I, "tests passed", nullable=True, ge=0),
    column("tests_total", I, "tests judged", ge=0),
    column("score", F, "tests_passed / tests_total", nullable=True, ge=0, le=1),
    column("category", S, "by score", nullable=True, isin=("correct", "partial", "wrong")),
    column("n_tokens", I, "tokens of the completion", ge=0),
    column("truncated", B, "the completion hit the length limit"),
    column("error", S, "trouble of our own; such a row has no verdict and no score", nullable=True),
)
SFT_COLUMNS = (
    column("row_id", S, "stable name"),
    column("source", S, "which data it is from", isin=("docstring", "pass_k", "diff", "repair", "reference")),
    INSTRUCTION,
    column("response", S, "what the model is to answer"),
    column("weight", F, "relative sampling weight", ge=0),
    LICENCE,
    column("provenance", S, "file:line, problem id or commit"),
)

"""Every table of the project: columns, meanings, keys and ranges.

Belongs here: the declaration of a table, and the pure functions that hold a frame to it.
Does not belong here: how a table is made (the rooms) or kept (`storage/`).
The writer, the asset checks and `docs/data.md` are all built from `TABLES`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

S, I, F, B = pl.String(), pl.Int64(), pl.Float64(), pl.Boolean()  # noqa: E741
STRINGS = pl.List(pl.String())
SOLUTION = pl.Struct({"code": pl.String(), "score": pl.Float64()})
NEGATIVE = pl.Struct({"code": pl.String(), "score": pl.Float64(), "error": pl.String()})
FILE = pl.Struct({"path": pl.String(), "content": pl.String()})

VERDICTS = ("AC", "PA", "WA", "RE", "TLE", "MLE", "OLE", "CE", "CLE")


@dataclass(frozen=True)
class Column:
    """One column: its polars type, what it means, and the values that it may hold."""

    name: str
    dtype: pl.DataType
    description: str
    nullable: bool = False
    ge: float | None = None
    le: float | None = None
    isin: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Table:
    """One table: columns in order, the columns that identify a row, and what a row is."""

    name: str
    description: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    partitioned: bool = False

    @property
    def schema(self) -> pl.Schema:
        """Column names and polars types, in order."""
        return pl.Schema({c.name: c.dtype for c in self.columns})

    @property
    def digest(self) -> str:
        """Changes whenever the declaration changes; part of each asset's code version."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]

    def empty(self) -> pl.LazyFrame:
        """A frame of this table without rows."""
        return pl.LazyFrame(schema=self.schema)

    def frame(self, rows: list[dict[str, Any]]) -> pl.LazyFrame:
        """Rows as a frame of exactly this table; a missing or unknown column is an error."""
        names = {c.name for c in self.columns}
        for row in rows:
            if row.keys() != names:
                missing, unknown = sorted(names - row.keys()), sorted(row.keys() - names)
                raise ValueError(f"table {self.name}: missing columns {missing}, unknown {unknown}")
        return pl.LazyFrame(rows, schema=self.schema)

    def conform(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        """Select and order this table's columns, after checking names and types.

        Raises
        ------
        ValueError
            Naming the table and each column that is missing or has another type.
        """
        found = frame.collect_schema()
        wrong = [
            f"{c.name}: {'missing' if c.name not in found else f'{found[c.name]} is not {c.dtype}'}"
            for c in self.columns
            if found.get(c.name) != c.dtype
        ]
        if wrong:
            raise ValueError(f"table {self.name} does not fit its schema: " + "; ".join(wrong))
        return frame.select([c.name for c in self.columns])

    def violations(self, frame: pl.LazyFrame) -> dict[str, int]:
        """Count the rows that break a rule: nulls, ranges, closed sets, repeated keys.

        Returns
        -------
        dict
            Rule -> number of rows; only rules that are broken appear.
        """
        rules: dict[str, pl.Expr] = {}
        for c in self.columns:
            col = pl.col(c.name)
            if not c.nullable:
                rules[f"{c.name} is null"] = col.is_null()
            if c.ge is not None:
                rules[f"{c.name} < {c.ge:g}"] = col < c.ge
            if c.le is not None:
                rules[f"{c.name} > {c.le:g}"] = col > c.le
            if c.isin is not None:
                rules[f"{c.name} not in {'|'.join(c.isin)}"] = ~col.is_in(list(c.isin))
        counts = frame.select([e.sum().cast(pl.Int64).alias(r) for r, e in rules.items()]).collect()
        broken = {rule: int(n or 0) for rule, n in counts.row(0, named=True).items() if n}
        if self.key:
            repeated = (
                frame.select(self.key).group_by(self.key).len().select((pl.col("len") - 1).sum()).collect().item()
            )
            if repeated:
                broken[f"repeated key ({', '.join(self.key)})"] = int(repeated)
        return broken


def _c(name: str, dtype: pl.DataType, description: str, **rules: Any) -> Column:
    return Column(name, dtype, description, **rules)


_DUMP = _c("dump", S, "partition key of the dump")
_REPO = _c("repo", S, "repository or package inside the dump; '.' when the dump is one tree")
_PATH = _c("path", S, "path inside the repository, '/' between parts")
_LICENCE = _c("licence", S, "SPDX identifier found for file or repository", nullable=True)
_INSTRUCTION = _c("instruction", S, "what the user asks for")
_SIGNATURE = _c("signature", S, "C++ declaration of the function, without the opening brace")
_TESTS = _c(
    "tests",
    S,
    'JSON list of {"args": [...], "expected": ...}; values by the parameter types of the prototype',
)
_FILE_COLUMNS = (
    _DUMP,
    _REPO,
    _PATH,
    _c("commit", S, "commit id that was read; null outside git", nullable=True),
    _LICENCE,
    _c("language", S, "kind of file", isin=("c", "cpp", "header", "cmake")),
    _c("sha256", S, "sha256 of the bytes as found"),
    _c("size_bytes", I, "bytes as found", ge=0),
    _c("is_test", B, "path or content marks test code"),
    _c("is_vendored", B, "path marks third-party code"),
    _c("is_generated", B, "path or content marks generated code"),
    _c("content", S, "text as UTF-8, LF line ends, no byte order mark"),
)
_PROBLEM_COLUMNS = (
    _c("problem_id", S, "stable name"),
    _c("source", S, "where it is from", isin=("family", "bundled", "mined", "humaneval_x", "user")),
    _c("split_key", S, "problems with one key share ingredients and stay on one side of the split"),
    _c("doc", S, "documentation comment as plain text (base prompts)"),
    _INSTRUCTION,
    _SIGNATURE,
    _c("entry_point", S, "name of the function under test"),
    _c("preamble", S, "includes and helper declarations shown with the problem; may be empty"),
    _TESTS,
    _c("n_tests", I, "number of tests", ge=0),
    _c("reference", S, "a complete accepted function; empty when the source has none"),
    _c("references", STRINGS, "all known accepted functions, `reference` first"),
    _c("test_code", S, "assert-style C++ tests of foreign formats", nullable=True),
    _LICENCE,
    _c(
        "mutation_score",
        F,
        "share of mutants of the reference that the tests kill",
        nullable=True,
        ge=0,
        le=1,
    ),
    _c("provenance", S, "file:line, generator version or data set record"),
)
_SOLUTION_COLUMNS = (
    _c("problem_id", S, "problem of train_problems or eval_problems"),
    _c("solution_id", S, "problem_id plus hash of the normalised code"),
    _c("sample_id", I, "smallest sample number that gave this code", ge=0),
    _c("prompt", S, "prompt text as the model saw it"),
    _c("code", S, "complete function, ready to judge"),
    _c("count", I, "how many of the k samples normalise to this code", ge=1),
    _c("k", I, "samples drawn for the problem", ge=1),
    _c("verdict", S, "null when `error` is set", nullable=True, isin=VERDICTS),
    _c("compile_ok", B, "the code compiled", nullable=True),
    _c("tests_passed", I, "tests passed", nullable=True, ge=0),
    _c("tests_total", I, "tests judged", ge=0),
    _c("score", F, "tests_passed / tests_total", nullable=True, ge=0, le=1),
    _c("category", S, "by score", nullable=True, isin=("correct", "partial", "wrong")),
    _c("n_tokens", I, "tokens of the completion", ge=0),
    _c("truncated", B, "the completion hit the length limit"),
    _c("error", S, "trouble of our own; such a row has no verdict and no score", nullable=True),
)
_SFT_COLUMNS = (
    _c("row_id", S, "stable name"),
    _c("source", S, "which data it is from", isin=("docstring", "pass_k", "diff", "repair", "reference")),
    _INSTRUCTION,
    _c("response", S, "what the model is to answer"),
    _c("weight", F, "relative sampling weight", ge=0),
    _LICENCE,
    _c("provenance", S, "file:line, problem id or commit"),
)


def _quarantine(table: str, partitioned: bool) -> Table:
    return Table(
        f"{table}_quarantine",
        f"Rows kept out of `{table}`, each with its reason.",
        (
            _c("row_id", S, "name of the row, or of its file and line"),
            _c("reason", S, "short reason, the same words for the same cause"),
            _c("detail", S, "file, line, and what was seen"),
            _c("text", S, "the text concerned, at most 2,000 characters"),
        ),
        (),
        partitioned,
    )


_ALL = (
    Table(
        "repo_dump",
        "One file of a dump as it lies there; the listing's hash is the dump's data version.",
        (
            _DUMP,
            _c("path", S, "path inside the dump"),
            _c("size_bytes", I, "bytes", ge=0),
            _c("sha256", S, "sha256 of the bytes"),
        ),
        ("dump", "path"),
        True,
    ),
    Table(
        "source_files",
        "One readable C, C++ or CMake file of a dump.",
        _FILE_COLUMNS,
        ("dump", "repo", "path"),
        True,
    ),
    Table(
        "commits",
        "One C or C++ file before and after a commit of a dump that holds git history.",
        (
            _DUMP,
            _REPO,
            _c("commit", S, "commit id"),
            _PATH,
            _c("time", I, "author time, seconds since 1970", ge=0),
            _c("message", S, "raw commit message"),
            _c("n_files", I, "source files changed by the commit", ge=1),
            _LICENCE,
            _c("before", S, "file text before"),
            _c("after", S, "file text after"),
        ),
        ("dump", "repo", "commit", "path"),
        True,
    ),
    Table(
        "clean_files",
        "Files kept for extraction: permissive or own licence, hand-written, not a duplicate.",
        _FILE_COLUMNS,
        ("dump", "repo", "path"),
        True,
    ),
    Table(
        "dropped_files",
        "Files kept out of `clean_files`, each with its reason.",
        (
            _DUMP,
            _REPO,
            _PATH,
            _c("reason", S, "licence, test, vendored, generated, duplicate, ..."),
            _c("detail", S, "what was seen"),
            _c("size_bytes", I, "bytes", ge=0),
        ),
        ("dump", "repo", "path"),
        True,
    ),
    Table(
        "docstring_pairs",
        "One documented C++ function: its documentation and its code.",
        (
            _c("pair_id", S, "hash of dump, repo, path, line and name"),
            _DUMP,
            _REPO,
            _PATH,
            _c("line", I, "first line of the function, from 1", ge=1),
            _c("end_line", I, "last line of the function", ge=1),
            _LICENCE,
            _c("name", S, "unqualified name"),
            _c("qualified_name", S, "with namespaces and classes"),
            _c("doc_raw", S, "comment as written"),
            _c("doc", S, "comment without comment marks"),
            _c("brief", S, "first sentence or \\brief"),
            _c("doc_params", STRINGS, "parameter names that the documentation mentions"),
            _c("doc_returns", S, "text of \\return", nullable=True),
            _SIGNATURE,
            _c("body", S, "text between the braces"),
            _c("code", S, "whole function as written"),
            _c("context", S, "includes, namespace and class around it"),
            _c("origin", S, "doc beside the body, or at a declaration", isin=("own", "joined")),
            _c("doc_path", S, "file of the documentation"),
            _c("doc_line", I, "first line of the documentation", ge=1),
            _c("n_tokens", I, "C++ tokens of the function", ge=1),
            _c("cyclomatic", I, "cyclomatic complexity", ge=1),
            _c("has_parse_error", B, "the parser saw an error inside the function"),
            _c("token_sha256", S, "hash of the normalised tokens"),
            _c("quality", F, "0 to 1: documentation and code agree", ge=0, le=1),
        ),
        ("pair_id",),
        True,
    ),
    Table(
        "diff_sft",
        "A repair at function level: what was wrong, the function before, the function after.",
        (
            _c("row_id", S, "hash of dump, repo, commit, path and function"),
            _DUMP,
            _REPO,
            _c("commit", S, "commit id"),
            _PATH,
            _c("function", S, "name of the function"),
            _LICENCE,
            _c("message", S, "raw commit message"),
            _INSTRUCTION,
            _c("before", S, "function before"),
            _c("after", S, "function after"),
            _c("n_changed_tokens", I, "tokens that differ", ge=1),
            _c("is_fix", B, "the message speaks of a defect"),
        ),
        ("row_id",),
        True,
    ),
    Table(
        "cmake_packages",
        "A CMake package, one of its imported targets, and where that is known from.",
        (
            _c("package", S, "name for find_package"),
            _c("target", S, "imported target"),
            _c("origin", S, "bundled table, or dump:repo:path"),
            _LICENCE,
        ),
        ("package", "target", "origin"),
    ),
    Table(
        "cmake_sft",
        "An instruction and the CMakeLists.txt that answers it, with a real configure's verdict.",
        (
            _c("row_id", S, "stable name"),
            _DUMP,
            _REPO,
            _PATH,
            _LICENCE,
            _INSTRUCTION,
            _c("response", S, "CMakeLists.txt"),
            _c("stage", S, "furthest stage reached", isin=("lint", "configure", "build", "test")),
            _c("configure_ok", B, "cmake configured it"),
            _c("build_ok", B, "it was built; null when not tried", nullable=True),
            _c("targets", STRINGS, "targets that cmake reported"),
        ),
        ("row_id",),
        True,
    ),
    Table(
        "cmake_problems",
        "A generated project whose right answer is known: files, instruction, reference, targets.",
        (
            _c("problem_id", S, "stable name"),
            _c("split", S, "side of the split", isin=("train", "eval")),
            _c("split_key", S, "project family"),
            _INSTRUCTION,
            _c("files", pl.List(FILE), "sources of the project without CMakeLists.txt"),
            _c("reference", S, "a CMakeLists.txt that builds it"),
            _c("targets", STRINGS, "targets that have to exist, as kind:name"),
            _c("configure_ok", B, "the reference configured in the sandbox"),
        ),
        ("problem_id",),
    ),
    Table(
        "eval_problems",
        "Held-out problems; only evaluation and decontamination read them.",
        _PROBLEM_COLUMNS,
        ("problem_id",),
    ),
    Table(
        "train_problems",
        "Problems for training: own, generated, and mined from documented functions.",
        _PROBLEM_COLUMNS,
        ("problem_id",),
    ),
    Table(
        "repair_rows",
        "A mutant of a reference, the first test that it fails, and the reference.",
        (
            _c("row_id", S, "stable name"),
            _c("problem_id", S, "problem"),
            _c("operator", S, "mutation operator"),
            _c("before", S, "mutant"),
            _c("failing_test", S, "JSON of the first failing test"),
            _c("after", S, "reference"),
            _c("tests_passed", I, "tests that the mutant passes", ge=0),
            _c("tests_total", I, "tests", ge=1),
        ),
        ("row_id",),
    ),
    Table(
        "near_misses",
        "A correct solution and a neighbour one mutation away that fails few tests.",
        (
            _c("row_id", S, "stable name"),
            _c("problem_id", S, "problem"),
            _c("chosen", S, "passes all tests"),
            _c("rejected", S, "fails at most a fifth of the tests"),
            _c("tests_passed", I, "tests that `rejected` passes", ge=0),
            _c("tests_total", I, "tests", ge=1),
        ),
        ("row_id",),
    ),
    Table(
        "decontamination_report",
        "A row of a training table that is too close to a held-out problem; it is not trained on.",
        (
            _c("table", S, "training table"),
            _c("row_id", S, "key of the row there"),
            _c("problem_id", S, "held-out problem"),
            _c("rule", S, "verbatim, tokens, doc or split_key"),
            _c("matched", S, "the overlapping text"),
        ),
        ("table", "row_id", "problem_id", "rule"),
    ),
    Table(
        "pass_k_solutions",
        "Distinct solutions that the base model gave, judged.",
        _SOLUTION_COLUMNS,
        ("solution_id",),
    ),
    Table(
        "sft_pass_k_solutions",
        "Distinct solutions that the SFT model gave, judged.",
        _SOLUTION_COLUMNS,
        ("solution_id",),
    ),
    Table(
        "docstring_sft",
        "A documented function as instruction and response.",
        _SFT_COLUMNS,
        ("row_id",),
    ),
    Table(
        "pass_k_sft",
        "A problem with all its distinct accepted solutions.",
        (
            _c("problem_id", S, "problem"),
            _INSTRUCTION,
            _c("solutions", pl.List(SOLUTION), "accepted solutions, all with score 1"),
            _LICENCE,
        ),
        ("problem_id",),
    ),
    Table("combined_sft", "All supervised rows with source and weight.", _SFT_COLUMNS, ("row_id",)),
    Table(
        "preference_pairs",
        "Two similar solutions of one problem, one clearly better on the same tests.",
        (
            _c("row_id", S, "stable name"),
            _c("problem_id", S, "problem"),
            _INSTRUCTION,
            _c("chosen", S, "better solution"),
            _c("rejected", S, "worse solution"),
            _c("similarity", F, "normalised Levenshtein similarity of the tokens", ge=0, le=1),
            _c("margin", F, "difference of the scores; compared in test counts", ge=0, le=1),
            _c("chosen_passed", I, "tests that `chosen` passes", ge=0),
            _c("rejected_passed", I, "tests that `rejected` passes", ge=0),
            _c("tests_total", I, "tests", ge=1),
            _c("chosen_passes_all", B, "`chosen` passes every test"),
        ),
        ("row_id",),
    ),
    Table(
        "gspo_prompts",
        "A prompt for GSPO with its tests, known answers and estimated pass rate.",
        (
            _c("problem_id", S, "problem"),
            _INSTRUCTION,
            _SIGNATURE,
            _c("entry_point", S, "name of the function under test"),
            _c("preamble", S, "includes and helpers; may be empty"),
            _TESTS,
            _c("n_tests", I, "number of tests", ge=1),
            _c("reference_solutions", pl.List(SOLUTION), "accepted solutions"),
            _c("negative_samples", pl.List(NEGATIVE), "failed solutions with the kind of failure"),
            _c("pass_rate", F, "share of the SFT samples that pass", nullable=True, ge=0, le=1),
        ),
        ("problem_id",),
    ),
    Table(
        "sandbox_canaries",
        "A program of known verdict, or an attack, and what the sandbox said.",
        (
            _c("canary_id", S, "stable name"),
            _c("kind", S, "what it is", isin=("program", "attack")),
            _c("expected", S, "verdicts that are right, separated by |"),
            _c("verdict", S, "verdict given", nullable=True),
            _c("tests_passed", I, "tests passed", nullable=True, ge=0),
            _c("honest_passed", I, "most tests that it may pass", nullable=True, ge=0),
            _c("tests_total", I, "tests", ge=0),
            _c("ok", B, "the sandbox was right"),
            _c("detail", S, "error or output, shortened"),
        ),
        ("canary_id",),
    ),
    Table(
        "router_sft",
        "A request and the function call that it should lead to.",
        (
            _c("row_id", S, "stable name"),
            _c("split", S, "phrasings are disjoint", isin=("train", "eval")),
            _c("template_id", S, "phrasing"),
            _c("utterance", S, "what the user says"),
            _c("prompt", S, "full prompt in FunctionGemma's format"),
            _c("response", S, "function call, or plain text where no tool fits"),
            _c("tool", S, "name of the tool, or none"),
            _c("arguments", S, "arguments as JSON"),
        ),
        ("row_id",),
    ),
    Table(
        "agent_problems",
        "An end-to-end task for the agent with the means to judge its answer.",
        (
            _c("problem_id", S, "stable name"),
            _c("tool", S, "tool that a good route takes"),
            _c("request", S, "what the user says"),
            _c("attachments", S, "JSON object: handle -> text"),
            _SIGNATURE,
            _TESTS,
            _c("expected", S, "JSON: what the judge looks for"),
        ),
        ("problem_id",),
    ),
)
_QUARANTINED = {
    "source_files": True,
    "commits": True,
    "docstring_pairs": True,
    "diff_sft": True,
    "cmake_sft": True,
    "train_problems": False,
    "eval_problems": False,
    "combined_sft": False,
}
TABLES: Mapping[str, Table] = {t.name: t for t in (*_ALL, *(_quarantine(name, p) for name, p in _QUARANTINED.items()))}
"""Every table by name; `<table>_quarantine` holds what was kept out of it."""

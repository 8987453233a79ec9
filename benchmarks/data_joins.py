"""Joins over all rows: decontamination by kind of leak, hits on real code, and candidate edges of a million rows.

Leaks are made of HumanEval-X C++: each problem is copied in ten ways into one row. Hits on functions of real projects
are an upper bound of what is wrongly taken out.
"""

from __future__ import annotations

import random
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.common.corpora import corpora, not_run
from benchmarks.common.humaneval import NEEDED, mutants
from benchmarks.common.planted import real_functions
from benchmarks.common.rows import Options, Row
from benchmarks.common.steps import in_own_process
from cpp_pipeline.curate.decontaminate import hits
from cpp_pipeline.curate.joins import band_edges, open_engine
from cpp_pipeline.curate.tokens import is_identifier, tokens
from cpp_pipeline.problems.formats import read_problems

_FILLER = "".join(f"double part_{n}(double a) {{ return a / {n} + {n}.5; }}\n" for n in range(1, 400))
_NAME = "data_joins"
_BANDS = 16
_FEW = 10
Problem = dict[str, Any]
Leak = Callable[[Problem, random.Random], str]


def run(options: Options) -> list[Row]:
    """Recall by kind of leak, hits and cost on real functions, cost of the candidate edges."""
    return [*_decontamination(options), _edges(options)]


def _renamed(problem: Problem, rng: random.Random) -> str:
    names: dict[str, str] = {}
    parts = tokens(problem["reference"])
    return " ".join(names.setdefault(t, f"n{rng.randrange(10**6)}") if is_identifier(t) else t for t in parts)


def _reformatted(problem: Problem, rng: random.Random) -> str:
    lines = problem["reference"].replace("{", "\n{\n").replace(";", " ; ").splitlines()
    return "\n".join(f"\t{line.strip()}{'  // here' if rng.random() < 0.3 else ''}" for line in lines)


def _commented(text: str) -> str:
    return "".join(f"/// {line}\n" for line in text.splitlines())


def _reworded(problem: Problem, rng: random.Random) -> str:
    return _commented(re.sub(r"\w+", lambda m: "item" if rng.random() < 0.2 else m.group(), problem["doc"]))


def _buggy(problem: Problem, rng: random.Random) -> str:
    return next(mutants(problem["reference"], rng))


_LEAKS: dict[str, tuple[Leak, float | None]] = {
    "verbatim": (lambda p, _: f"{_commented(p['doc'])}{p['reference']}", 0.99),
    "code only": (lambda p, _: p["reference"], 0.99),
    "reformatted": (_reformatted, 0.99),
    "renamed code, no doc": (_renamed, 0.95),
    "doc and renamed code": (lambda p, rng: _commented(p["doc"]) + _renamed(p, rng), 0.99),
    "reworded doc and renamed code": (lambda p, rng: _reworded(p, rng) + _renamed(p, rng), 0.95),
    "doc only": (lambda p, _: f"{_commented(p['doc'])}int other;\n", 0.99),
    "tests only": (lambda p, _: p["test_code"], 0.99),
    "buggy variant": (_buggy, None),
    "renamed code inside a file": (lambda p, rng: f"{_FILLER}{_renamed(p, rng)}\n{_FILLER}", 0.95),
}


def _decontamination(options: Options) -> Iterator[Row]:
    if options.humaneval is None:
        yield not_run(_NAME, "decontamination", NEEDED)
        return
    held_out, _ = read_problems(options.humaneval)
    problems = held_out.collect().to_dicts()
    for kind, (leak, least) in _LEAKS.items():
        rng = random.Random(f"{kind} {options.seed}")
        report = _report([leak(problem, rng) for problem in problems], held_out)
        own = report.filter(
            pl.col("problem_id") == pl.Series([p["problem_id"] for p in problems]).gather(report["row"])
        )
        recall = own["row"].n_unique() / len(problems)
        rules = ", ".join(f"{rule} {n}" for rule, n in own.group_by("rule").len().sort("rule").rows())
        missed = [p["problem_id"] for at, p in enumerate(problems) if at not in set(own["row"])]
        bar = "" if least is None else f">= {least:g}"
        ok = None if least is None else recall >= least
        yield Row(
            _NAME,
            f"leaks found: {kind}",
            f"{recall:.3f}",
            bar=bar,
            ok=ok,
            notes=f"by rule: {rules}",
            details=missed[:8],
        )
    yield from _real_code(options, held_out)


def _report(texts: list[str], held_out: pl.LazyFrame) -> pl.DataFrame:
    """The report, with the number of the text as `row`."""
    names = [str(at) for at in range(len(texts))]
    frame = pl.LazyFrame(
        {"table": "t", "row_id": names, "text": texts, "split_key": pl.Series([None] * len(texts), dtype=pl.String)}
    )
    return hits(frame, held_out).collect().with_columns(row=pl.col("row_id").cast(pl.Int64))


def _real_code(options: Options, held_out: pl.LazyFrame) -> Iterator[Row]:
    trees = corpora(options)
    if not trees:
        yield not_run(_NAME, "hits on real functions", "give source trees with --corpora")
        return
    functions = real_functions(list(trees.values()))
    functions = functions[:: options.size(1, 10)]
    _report(functions[:_FEW], held_out)  # loads the compiled code
    prepared, _ = _timed(functions[:_FEW], held_out)
    whole, report = _timed(functions, held_out)
    spent = (whole - prepared) * 100_000 / (len(functions) - _FEW)
    share = report["row"].n_unique() / len(functions)
    per_row = report.group_by("row").agg(pl.col("problem_id", "rule").unique().sort()).sort("row")
    found = [
        f"{functions[row].splitlines()[0][:80]}: {', '.join(rules)}; {problems[0]} and {len(problems) - 1} others"
        for row, problems, rules in per_row.rows()
    ]
    rules = ", ".join(f"{rule} {n}" for rule, n in report.group_by("rule").len().sort("rule").rows())
    what = f"hits on {len(functions)} real functions"
    yield Row(_NAME, what, f"{share:.3%}", bar="<= 0.1 %", ok=share <= 0.001, notes=f"by rule: {rules}", details=found)
    yield Row(
        _NAME,
        "decontamination of 100,000 functions",
        f"{spent:.1f} CPU s",
        bar="<= 10",
        ok=spent <= 10,
        notes=f"and {prepared:.1f} CPU s for the n-grams of the problems",
    )


def _timed(functions: list[str], held_out: pl.LazyFrame) -> tuple[float, pl.DataFrame]:
    before = time.process_time()
    report = _report(functions, held_out)
    return time.process_time() - before, report


def _edges(options: Options) -> Row:
    rows = options.size(1_000_000, 50_000)
    with tempfile.TemporaryDirectory(prefix="cpp-pipeline-bench-") as folder:
        bands = Path(folder) / "bands.parquet"
        _write_bands(bands, rows, options.seed)
        step = in_own_process(f"{__name__}:find_edges", str(bands))
    notes = f"{step.result} candidate pairs; peak memory of the process {step.peak_mib:.0f} MiB"
    ok = step.peak_mib <= 1024
    return Row(
        _NAME,
        f"edges of {rows:,} rows x {_BANDS} bands, duckdb",
        f"{step.cpu_seconds:.1f} CPU s",
        bar="<= 1 GiB",
        ok=ok,
        notes=notes,
    )


def _write_bands(file: Path, rows: int, seed: int) -> None:
    """Random keys; a fifth of the rows share about half of them with another row, and one bucket is a giant."""
    rng = np.random.default_rng(seed)
    keys = rng.integers(0, 2**64, (rows, _BANDS), dtype=np.uint64)
    shared = (rng.random(rows) < 0.2)[:, None] & (rng.random((rows, _BANDS)) < 0.5)
    keys = np.where(shared, keys[rng.integers(0, rows, rows)], keys)
    keys[: rows // 300, 0] = 7
    frame = {
        "id": np.tile(np.arange(rows), _BANDS),
        "band": np.repeat(np.arange(_BANDS, dtype=np.int16), rows),
        "key": keys.T.ravel(),
    }
    pl.DataFrame(frame).write_parquet(file, row_group_size=100_000)


def find_edges(bands: str) -> int:
    """Number of candidate pairs of a parquet file of bands."""
    with open_engine() as engine:
        return int(band_edges(Path(bands), engine=engine).select(pl.len()).collect().item())

"""Whole programs that read a test's input and print its answer.

Belongs here: one run for each test, and the comparison, which is made outside of the box: a program gains nothing by
what it does in there. Not here: how a program is run (`launch`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

from cpp_pipeline.sandbox.judging import instructions, sanitizer
from cpp_pipeline.sandbox.judging.cases import Case, Outcome, Tools
from cpp_pipeline.sandbox.judging.modes.launch import TEXT_KEPT, Run, compiled, described, run_once, stretched
from cpp_pipeline.sandbox.judging.verdicts import summary
from cpp_pipeline.sandbox.types import Json, TestResult

TOLERANCE = 1e-6
"""Most that a number may be off, absolute or as a share of the expected one, in a `float` comparison."""
_TIMEOUTS_BEFORE_SKIP = 2
_ROOM_FOR_OUTPUT = 1 << 16
_NUMBER = re.compile(rb"[+-]?(?:\d++\.?\d*+|\.\d++)(?:[eE][+-]?\d++)?")


def judge_stdio(case: Case, tools: Tools) -> Outcome:
    """Compile a program alone and run it once for each test.

    After two tests over the limit of time, or when all of the job's time is spent, the other tests are TLE too.

    Raises
    ------
    IsolationError, ToolchainError
        The machine's trouble, which is no verdict.
    """
    preamble = f'#line 1 "preamble"\n{case.job.preamble}\n' if case.job.preamble else ""
    text = f'{preamble}#line 1 "candidate"\n{case.job.code}\n'
    with compiled(case, tools, text) as (done, program):
        if done.status != "ok":
            verdict = "CLE" if done.status == "limit" else "CE"
            return described(Outcome(verdict, False, stderr=done.stderr[:TEXT_KEPT]), done, {})
        runs = _run_all(case, tools, program)
        counted = instructions.result(_count(case, tools, program)) if case.job.count_instructions else {}
    results = [
        _result(index, test, run) for index, (test, run) in enumerate(zip(case.job.test_cases, runs, strict=True))
    ]
    shown = next((run for run, r in zip(runs, results, strict=True) if run is not None and r.verdict != "AC"), runs[0])
    cpu = sum(run.cpu_seconds for run in runs if run is not None)
    memory = max((run.memory_kb for run in runs if run is not None), default=0)
    outcome = Outcome(
        summary([r.verdict for r in results]),
        True,
        tuple(results),
        stdout="" if shown is None else _text(shown.stdout),
        stderr="" if shown is None else shown.stderr[:TEXT_KEPT],
        findings=_findings(case, runs),
    )
    return described(outcome, done, {"cpu_ms": round(1000 * cpu, 3), "memory_kb": memory, **counted})


def _run_all(case: Case, tools: Tools, program: Path) -> list[Run | None]:
    """A run for each test, None for tests that were not run because time was spent."""
    runs: list[Run | None] = []
    late, spent, whole = 0, 0.0, stretched(case, case.job.timeout, False)
    for test in case.job.test_cases:
        if late >= _TIMEOUTS_BEFORE_SKIP or spent > whole:
            runs.append(None)
            continue
        run = run_once(case, tools, program, test["stdin"].encode(), _room(test))
        late += run.verdict == "TLE"
        spent += run.cpu_seconds
        runs.append(run)
    return runs


def _count(case: Case, tools: Tools, program: Path) -> int | None:
    """Instructions of the whole program over all tests."""
    if instructions.missing():
        return None
    total, spent, whole = 0, 0.0, stretched(case, case.job.timeout, True)
    for test in case.job.test_cases:
        run = run_once(case, tools, program, test["stdin"].encode(), _room(test), counted=True)
        count = instructions.parse(run.stderr)
        spent += run.cpu_seconds
        if run.verdict or count is None or spent > whole:
            return None
        total += count
    return total


def _room(test: dict[str, Json]) -> int:
    """Bytes that a program may print for a test: an answer that is longer than the job's cap is no flood."""
    return 2 * len(test["expected"].encode()) + _ROOM_FOR_OUTPUT


def _result(index: int, test: dict[str, Json], run: Run | None) -> TestResult:
    if run is None:
        return TestResult(index, "TLE")
    right = not run.verdict and matches(run.stdout, test["expected"].encode(), test.get("compare", "tokens"))
    verdict = run.verdict or ("AC" if right else "WA")
    return TestResult(index, verdict, _text(run.stdout), cpu_ms=round(1000 * run.cpu_seconds, 3))


def matches(actual: bytes, expected: bytes, compare: str) -> bool:
    """Whether an output is the expected one.

    Parameters
    ----------
    compare : str
        "exact": byte by byte; "tokens": what stands between white space; "float": tokens, of which numbers may be off
        by `TOLERANCE`.
    """
    if compare == "exact":
        return actual == expected
    found, wanted = actual.split(), expected.split()
    if compare == "tokens":
        return found == wanted
    return len(found) == len(wanted) and all(map(_close, found, wanted))


def _close(actual: bytes, expected: bytes) -> bool:
    if actual == expected:
        return True
    if not _NUMBER.fullmatch(actual) or not _NUMBER.fullmatch(expected):
        return False
    left, right = float(actual), float(expected)
    return math.isfinite(left) and math.isfinite(right) and abs(left - right) <= TOLERANCE * max(1.0, abs(right))


def _text(data: bytes) -> str:
    return data[:TEXT_KEPT].decode("utf-8", "replace")


def _findings(case: Case, runs: Sequence[Run | None]) -> tuple[str, ...]:
    if not case.job.sanitize:
        return ()
    found = [text for run in runs if run is not None for text in sanitizer.findings(run.stderr)]
    return tuple(dict.fromkeys(found))

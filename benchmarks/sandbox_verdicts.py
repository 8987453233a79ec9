"""HumanEval-X C++: canonical solutions accepted, and agreement with plain g++ and asserts on right and wrong programs.

The peer compiles the same program with `g++ -std=c++17` and believes its exit code. Where the two differ, the program
is compiled once more with ASan, UBSan and the library's assertions: a program that they reject has undefined
behaviour, so plain g++ may give it any verdict; it is set aside and listed.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.common.controller import controller
from benchmarks.common.corpora import not_run
from benchmarks.common.humaneval import NEEDED, mutants, program, solutions
from benchmarks.common.peer import SANITIZERS, evaluate
from benchmarks.common.rows import Options, Row
from cpp_pipeline.sandbox.client import SandboxClient
from cpp_pipeline.sandbox.types import Job, Result

_NAME = "sandbox_verdicts"
_MUTANTS = 2
_UNDEFINED = re.compile(r"ERROR: AddressSanitizer[^\n]*|runtime error:[^\n]*|c\+\+/[^\n]*Assertion[^\n]*")
_REPORT_KEPT = 160
_CAUSE = re.compile(r"(?:fatal )?error: [^\n]*|undefined (?:reference|symbol)[^\n]*")


def run(options: Options) -> list[Row]:
    """Rows for acceptance and for agreement."""
    if options.humaneval is None:
        return [not_run(_NAME, "verdicts on HumanEval-X C++", NEEDED)]
    with controller(options.workers) as ours, SandboxClient(ours.url) as client:
        canonical = solutions(options.humaneval, "c++20")[:: options.size(1, 20)]
        rows = [_acceptance(canonical, client.batch_verify(canonical))]
        programs = _programs(options.humaneval, options)
        return [*rows, _agreement(programs, client.batch_verify(programs), options)]


def _acceptance(jobs: Sequence[Job], results: Sequence[Result]) -> Row:
    accepted = [r.verdict == "AC" and r.harness.get("mode") == "rpc" for r in results]
    rest = [
        f"{result.id} is {result.verdict or 'without verdict'} in {result.harness.get('mode')}: {_cause(job, result)}"
        for job, result, fine in zip(jobs, results, accepted, strict=True)
        if not fine
    ]
    least = len(jobs) - 4
    return Row(
        _NAME,
        "canonical solutions of HumanEval-X C++ of which all asserts pass, in mode rpc",
        f"{sum(accepted)} of {len(jobs)}",
        bar=f">= {least}, the rest named",
        ok=sum(accepted) >= least,
        notes=f"{sum(r.tests_total for r in results)} asserts in all problems together",
        details=rest,
    )


def _cause(job: Job, result: Result) -> str:
    """What is missing: the first complaint, and the function."""
    match = _CAUSE.search(f"{result.error or ''}\n{result.stderr}")
    said = match[0] if match else (result.error or result.stderr).strip()[:200]
    return f"{said or 'no complaint'} [{job.prototype}]"


def _programs(humaneval: Path, options: Options) -> list[Job]:
    """Canonical solutions and up to two mutants of each."""
    rng = random.Random(options.seed)
    found = []
    for job in solutions(humaneval)[:: options.size(1, 20)]:
        changed = itertools.islice(mutants(job.code, rng), options.size(_MUTANTS, 1))
        codes = [job.code, *changed] if rng.random() < 0.8 else [job.code]
        found += [replace(job, id=f"{job.id}/{at}", code=code) for at, code in enumerate(codes)]
    return found


def _agreement(jobs: Sequence[Job], results: Sequence[Result], options: Options) -> Row:
    peers = evaluate([program(job) for job in jobs], options.workers)
    differing = [at for at, peer in enumerate(peers) if (results[at].verdict == "AC") != peer.passed]
    checked = evaluate([program(jobs[at]) for at in differing], options.workers, SANITIZERS)
    details, undefined = [], 0
    for at, sanitized in zip(differing, checked, strict=True):
        theirs = "passes" if peers[at].passed else "fails"
        text = f"{jobs[at].id}: {results[at].verdict or results[at].error} here, {theirs} with plain g++"
        if report := _UNDEFINED.search(sanitized.stderr):
            undefined += 1
            text += f"; set aside, undefined behaviour: {' '.join(report[0].split())[:_REPORT_KEPT]}"
        details.append(text)
    defined = len(jobs) - undefined
    agreed = len(jobs) - len(differing)
    return Row(
        _NAME,
        f"verdicts equal to plain g++ with asserts ({len(jobs)} programs, {sum(p.passed for p in peers)} right)",
        f"{agreed} of {defined}",
        bar="100 %",
        ok=agreed == defined,
        notes=f"{undefined} programs set aside; both run in a box of the same kind",
        details=details,
    )

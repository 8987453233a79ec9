"""A candidate and its tests in one unit, for what no pipe can carry: classes, templates, or only an exit code.

Belongs here: the text of that unit, and its run. A candidate that sets out to can forge a pass here, in spite of
`native/checks.hpp` and `native/inproc.cpp`: results are marked forgeable, and make no reward unless asked to.
Functions over the pipe (`workbench`) and programs (`stdio`) are sound.
"""

from __future__ import annotations

import math
import re
import secrets
from dataclasses import replace
from pathlib import Path

from cpp_pipeline.sandbox.compiling.pch import NATIVE
from cpp_pipeline.sandbox.compiling.toolchain import Compiled
from cpp_pipeline.sandbox.formats import assert_sites
from cpp_pipeline.sandbox.isolation import BoxResult, Limits
from cpp_pipeline.sandbox.judging import instructions, sanitizer
from cpp_pipeline.sandbox.judging.cases import Case, Outcome, Tools
from cpp_pipeline.sandbox.judging.modes import blame
from cpp_pipeline.sandbox.judging.modes.launch import (
    TEXT_KEPT,
    box,
    compiled,
    count_run,
    described,
    run_once,
    stretched,
    wall_seconds,
)
from cpp_pipeline.sandbox.judging.modes.report import KILLED, NONCE_BYTES, STATUS, Report, assert_verdicts, parse_report
from cpp_pipeline.sandbox.judging.verdicts import summary
from cpp_pipeline.sandbox.types import Json, TestResult

_CHECKS = NATIVE / "checks.hpp"
_INCLUDE = re.compile(r"^[ \t]*#[ \t]*include[ \t]*[<\"][^\n]*$", re.MULTILINE)
_ASSERT_HEADER = re.compile(r"<(?:assert\.h|cassert)>")
# a statement, so that what throws in it is caught; __extension__, since only g++ and clang++ have it as an expression
_ASSERT = (
    "static constexpr unsigned judge_first = __COUNTER__;\n"
    "#define assert(...) __extension__({ "
    "constexpr unsigned judge_site = static_cast<unsigned>(__COUNTER__) - judge_first - 1u; "
    "judge_checks::enter(judge_site); "
    "try { judge_checks::leave(judge_site, static_cast<bool>(__VA_ARGS__)); } "
    "catch (...) { judge_checks::threw(judge_site); } })\n"
)
_OUTPUT_BYTES = 1 << 20


def judge_in_process(case: Case, tools: Tools) -> Outcome:
    """Judge a candidate in one program with its tests: every assert, or for `exit_code` only how the program ends.

    Raises
    ------
    IsolationError, ToolchainError
        The machine's trouble, which is no verdict.
    """
    with_checks = case.mode == "inproc"
    objects = ("inproc.o",) if with_checks else ()
    with compiled(case, tools, unit(case, case.job.code), objects) as (done, program):
        if done.status != "ok":
            return _rejected(case, tools, done, objects)
        outcome = (_asserts if with_checks else _exit_code)(case, tools, program)
    if case.job.sanitize:
        outcome = replace(outcome, findings=tuple(sanitizer.findings(outcome.stderr)))
    return described(replace(outcome, stderr=outcome.stderr[:TEXT_KEPT]), done, outcome.run)


def unit(case: Case, code: str) -> str:
    """One unit of preamble, candidate and tests; its messages carry these file names."""
    job = case.job
    before = f'#line 1 "preamble"\n{job.preamble}\n#line 1 "candidate"\n{code}\n'
    if case.mode == "exit_code":
        return f'{before}#line 1 "tests"\n{job.test_code}\n'
    sites = len(assert_sites(job.test_code))
    headers = "\n".join(line for line in _INCLUDE.findall(job.test_code) if not _ASSERT_HEADER.search(line))
    return "".join(
        (
            # a candidate's own main must not be the tests'
            f'#define main candidate_main\n{before}#line 1 "judge"\n{_CHECKS.read_text()}',
            # a header of the tests may bring back the real assert, so all of them come first
            f'#line 1 "tests"\n{headers}\n#undef assert\n{_ASSERT}',
            f'#line 1 "tests"\n{_INCLUDE.sub("", job.test_code)}\n',
            f'#line 1 "judge"\nstatic_assert(__COUNTER__ - judge_first - 1u == {sites}u, ',
            '"the asserts of the tests cannot be counted");\n',
            f"extern const unsigned judge_site_count = {sites}u;\n",
        )
    )


def _rejected(case: Case, tools: Tools, done: Compiled, objects: tuple[str, ...]) -> Outcome:
    """CE or CLE; an error where preamble and tests do not compile whatever the candidate is."""
    if done.status == "limit":
        return described(Outcome("CLE", False, stderr=done.stderr[:TEXT_KEPT]), done, {})
    if case.mode == "inproc" and blame.lacks_main(done.stderr):  # a candidate's own one is not called main here
        return Outcome(None, error="harness_compile_failed: the tests have no main")
    if blame.is_outside(done.stderr):
        with compiled(case, tools, unit(case, ""), objects) as (without, _):
            reason = blame.own_fault(done.stderr, without.stderr, case.job.test_code)
        if reason:
            return Outcome(None, error=f"harness_compile_failed: {reason}")
    return described(Outcome("CE", False, stderr=done.stderr[:TEXT_KEPT]), done, {})


def _exit_code(case: Case, tools: Tools, program: Path) -> Outcome:
    ran = run_once(case, tools, program)
    # glibc's words for a failed assert; a program that says them itself fails by its own word
    verdict = "WA" if ran.verdict == "RE" and "Assertion `" in ran.stderr else ran.verdict or "AC"
    run: dict[str, Json] = {"cpu_ms": round(1000 * ran.cpu_seconds, 3), "memory_kb": ran.memory_kb}
    if case.job.count_instructions:
        under = None if instructions.missing() else run_once(case, tools, program, counted=True)
        ended = under is not None and under.verdict == ran.verdict
        run |= instructions.result(instructions.parse(under.stderr) if under and ended else None)
    test = TestResult(0, verdict, check="exit code 0", cpu_ms=run["cpu_ms"])
    stdout = ran.stdout[:TEXT_KEPT].decode("utf-8", "replace")
    return Outcome(verdict, True, (test,), stdout, ran.stderr, run=run)


def _asserts(case: Case, tools: Tools, program: Path) -> Outcome:
    sites = assert_sites(case.job.test_code)
    report, result = _supervised(case, tools, program)
    run: dict[str, Json] = {}
    if report is None:
        verdicts = [_early(result)] * len(sites)
        out, err = "", result.stderr.decode("utf-8", "replace")
    else:
        verdicts = assert_verdicts(report, _cause(report, result))
        out, err = report.stdout, report.stderr
        run["cpu_ms"] = round(1000 * report.cpu_seconds, 3)
        count_run(case, tools, report.cpu_seconds, _cause(report, result))
    if case.job.count_instructions:
        run |= instructions.result(_count(case, tools, program))
    tests = tuple(
        TestResult(i, verdict, None, line, check)
        for i, (verdict, (line, check)) in enumerate(zip(verdicts, sites, strict=True))
    )
    tamper = () if report else ("ended_outside_the_protocol",)
    return Outcome(summary(verdicts), True, tests, out, err, run=run, tamper=tamper)


def _supervised(case: Case, tools: Tools, program: Path, counted: bool = False) -> tuple[Report | None, BoxResult]:
    """Run the tests under their supervisor; there is no report where the candidate has ended or silenced it."""
    step, whole = (stretched(case, seconds, counted) for seconds in (case.call_seconds, case.job.timeout))
    wall = wall_seconds(whole)
    limits = Limits(wall + 2, math.ceil(whole) + 2, output_bytes=_OUTPUT_BYTES)
    command = ["/box/program", f"{step:.6f}", f"{whole:.6f}", f"{wall:.0f}"]
    nonce = secrets.token_bytes(NONCE_BYTES)
    made = replace(box(case, program, command, limits, "main" if counted else None), stdin=nonce)
    result = tools.boxes.run(made)
    return parse_report(result.stdout, nonce, len(assert_sites(case.job.test_code))), result


def _count(case: Case, tools: Tools, program: Path) -> int | None:
    """Instructions of the tests' main and of all that it calls, the few of the checks themselves among them."""
    if instructions.missing():
        return None
    report, result = _supervised(case, tools, program, counted=True)
    ended = report is not None and not report.end
    return instructions.parse(result.stderr.decode("utf-8", "replace")) if ended else None


def _early(result: BoxResult) -> str:
    """Verdict of asserts of which nothing is known."""
    if result.out_of_memory:
        return "MLE"
    return "TLE" if result.timed_out else "OLE" if result.flooded else "RE"


def _cause(report: Report, result: BoxResult) -> str:
    """Why the tests did not come to their end, empty where they did."""
    if report.end and (sanitizer.out_of_memory(report.stderr) or (report.end == KILLED and result.out_of_memory)):
        return "MLE"
    return STATUS.get(report.end, "")

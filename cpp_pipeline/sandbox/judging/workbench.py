"""Compiling and running functions that are called over the pipe, alone or many in one unit.

Belongs here: rounds of compilation, who is blamed for an error, and when a group is taken apart.
Not here: which cases of a batch go together (`judge`), and programs that are not called (`modes`).
"""

from __future__ import annotations

import contextlib
import functools
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from cpp_pipeline.sandbox.compiling.toolchain import Build, Compiled
from cpp_pipeline.sandbox.cpp.lexer import key
from cpp_pipeline.sandbox.isolation import IsolationError, Limits
from cpp_pipeline.sandbox.isolation.launcher import remove_tree
from cpp_pipeline.sandbox.judging import instructions, sanitizer
from cpp_pipeline.sandbox.judging.cases import Outcome, RpcCase, Tools, prepare
from cpp_pipeline.sandbox.judging.glue import codecs
from cpp_pipeline.sandbox.judging.harness import harness_unit
from cpp_pipeline.sandbox.judging.program import Entry, blamed, only_preamble, unit
from cpp_pipeline.sandbox.judging.programs import TestPrograms
from cpp_pipeline.sandbox.judging.runs import Plan, Program, Ran, Record, run_program, run_tests
from cpp_pipeline.sandbox.judging.verdicts import assess, broken, only
from cpp_pipeline.sandbox.types import Caps, Job

logger = logging.getLogger(__name__)
ROUNDS = 5
_RUNS = 2
_STDERR_KEPT = 4096
_RECORDS_BYTES, _RUN_CPU_SECONDS = 16 << 20, 120
_LABEL = re.compile(r"\bc(\d+)(?=:\d+:)")
_SCOPE = re.compile(r"\bc\d+::")


class Workbench:
    """Judges cases with one compiler and one kind of box."""

    def __init__(self, tools: Tools) -> None:
        self.tools, self.metrics = tools, tools.metrics
        self._tests = TestPrograms()

    @contextlib.contextmanager
    def _folder(self) -> Iterator[Path]:
        folder = self.tools.toolchain.open_folder()
        try:
            yield folder
        finally:
            remove_tree(folder)

    def alone(self, case: RpcCase) -> Outcome:
        """Judge one case in a unit of its own.

        Raises
        ------
        IsolationError
            A box did not start, or trouble of the machine kept the tests from running.
        """
        self.metrics.add("sandbox_candidates_total", mode="alone")
        with self._folder() as folder, self._tests_of(case) as (tests, trouble):
            if trouble:
                return _unusable_tests(case, trouble)
            compiled = self._compile([case], folder)
            if compiled.status != "ok":
                return self._rejected(case, compiled, compiled.stderr)
            ran = self._run_surely(case, folder, tests)
            outcome = _described(assess(case, only(ran), ran.cause), compiled, ran, 1)
            if case.job.count_instructions:
                outcome = replace(outcome, run={**outcome.run, **self._count(case, folder, tests)})
        if case.job.sanitize:
            outcome = replace(outcome, findings=tuple(sanitizer.findings(outcome.stderr + ran.stderr)))
        signs = (*outcome.tamper, *(["malformed_frame"] if ran.malformed else []))
        if not ran.complete:
            signs = (*signs, "ended_outside_the_protocol")
        for sign in set(signs):
            self.metrics.add("sandbox_tamper_signals_total", kind=sign)
        return replace(outcome, tamper=tuple(dict.fromkeys(signs)))

    def _run_surely(self, case: RpcCase, folder: Path, tests: Path | None) -> Ran:
        """Run one case, once more when tests did not start; what is left is the candidate's fault or an error.

        Nothing that leaves the box proves whose fault it is, not even for a plain candidate, which may have broken
        its own memory; a known program beside it tells whether the machine works.
        """
        for _ in range(_RUNS):
            ran = self._run([case], folder, tests)
            stalled = case.plain and not ran.complete and ran.cause not in ("OLE", "MLE")
            if not stalled and not broken(only(ran)):
                return ran
        if not self._machine_works():
            raise IsolationError("the runner could not start a test")
        self.metrics.add("sandbox_tamper_signals_total", kind="test_not_started")
        return ran

    def _machine_works(self) -> bool:
        with self._folder() as folder:
            case = _witness()
            if self._compile([case], folder).status != "ok":
                return False
            ran = self._run([case], folder, None)
        return ran.complete and assess(case, only(ran), ran.cause).verdict == "AC"

    def group(self, cases: Sequence[RpcCase]) -> list[Outcome]:
        """Judge plain cases of one `RpcCase.unit` together; outcomes in the same order."""
        with self._tests_of(cases[0]) as (tests, trouble):
            if trouble:
                return [_unusable_tests(case, trouble) for case in cases]
            return self._group(cases, tests)

    def _group(self, cases: Sequence[RpcCase], tests: Path | None) -> list[Outcome]:
        outcomes: dict[int, Outcome] = {}
        left = list(range(len(cases)))
        for _ in range(ROUNDS):
            if not left:
                break
            with self._folder() as folder:
                members = [cases[i] for i in left]
                compiled = self._compile(members, folder)
                if compiled.status == "ok":
                    done = self._run_group(members, folder, tests, compiled)
                    outcomes.update(zip(left, done, strict=True))
                    left = []
                    break
            guilty = blamed(compiled.stderr) if compiled.status == "error" else set()
            if not guilty:
                break
            for at in guilty:
                text = _lines_of(compiled.stderr, at)
                outcomes[left[at]] = self._rejected(cases[left[at]], compiled, text, len(left))
            left = [i for at, i in enumerate(left) if at not in guilty]
        if len(left) == 1:
            outcomes[left[0]] = self._alone_or_error(cases[left[0]])
        elif left:
            middle = len(left) // 2
            for half in (left[:middle], left[middle:]):
                outcomes.update(zip(half, self._group([cases[i] for i in half], tests), strict=True))
        return [outcomes[i] for i in range(len(cases))]

    def _run_group(
        self, cases: Sequence[RpcCase], folder: Path, tests: Path | None, compiled: Compiled
    ) -> list[Outcome]:
        ran = self._run(cases, folder, tests)
        by_case: list[dict[int, Record]] = [{} for _ in cases]
        for (entry, test), record in ran.records.items():
            by_case[entry][test] = record
        if not ran.complete:
            logger.warning("a group of %d was lost (%s); judging one by one", len(cases), ran.cause or "runner")
            self.metrics.add("sandbox_group_lost_total")
            return [self._alone_or_error(case) for case in cases]
        self.metrics.add("sandbox_candidates_total", len(cases), mode="grouped")
        return [
            self._alone_or_error(case)
            if broken(found)
            else _described(assess(case, found, "RE"), compiled, ran, len(cases))
            for case, found in zip(cases, by_case, strict=True)
        ]

    def _alone_or_error(self, case: RpcCase) -> Outcome:
        """A case that is taken out of its group; trouble with it is not the others'."""
        try:
            return self.alone(case)
        except (IsolationError, OSError) as error:
            return Outcome(None, error=f"worker_lost: {error}")

    @contextlib.contextmanager
    def _tests_of(self, case: RpcCase) -> Iterator[tuple[Path | None, str]]:
        """The program of a case's `test_code`, or why it does not compile; nothing for encoded calls."""
        if not case.sites:
            yield None, ""
            return
        job = case.job
        name = key(case.prototype.text, job.preamble, job.test_code, job.std, job.compiler)
        with self._tests.use(name, lambda: self._build_tests(case)) as found:
            yield found

    def _build_tests(self, case: RpcCase) -> tuple[Path, str]:
        job = case.job
        folder = self.tools.toolchain.open_folder()
        text = harness_unit(case.prototype, job.preamble, job.test_code, len(case.sites))
        build = Build(job.std, compiler=job.compiler)
        compiled = self.tools.toolchain.compile(text, build, folder, objects=("harness.o",), caps=Caps())
        self._count_compile(compiled, "tests")
        return folder, "" if compiled.status == "ok" else compiled.stderr[:_STDERR_KEPT] or "over a limit"

    def _compile(self, cases: Sequence[RpcCase], folder: Path) -> Compiled:
        entries = [Entry(c.code, c.prototype, c.plain, _first_line(c)) for c in cases]
        first = cases[0]
        bare = unit(entries, first.before, bare=True) if len(cases) == 1 and not first.plain else None
        text = unit(entries, first.before)
        compiled = self.tools.toolchain.compile(text, first.build, folder, caps=first.job.caps, bare=bare)
        self._count_compile(compiled, "grouped" if len(cases) > 1 else "alone")
        return compiled

    def _count_compile(self, compiled: Compiled, mode: str) -> None:
        self.metrics.add("sandbox_compiles_total", mode=mode)
        self.metrics.add("sandbox_compile_cpu_seconds_total", compiled.cpu_seconds, mode=mode)
        self.metrics.add("sandbox_pch_hits_total" if compiled.pch_hit else "sandbox_pch_misses_total")
        self.metrics.observe("sandbox_compile_seconds", compiled.cpu_seconds, pch="hit" if compiled.pch_hit else "miss")

    def _run(self, cases: Sequence[RpcCase], folder: Path, tests: Path | None, count: bool = False) -> Ran:
        sets = [] if tests else list(dict.fromkeys(c.calls for c in cases))
        numbers = {calls: i for i, calls in enumerate(sets)}
        job, caps = cases[0].job, cases[0].job.caps
        slower, start = _slower(job, count)
        plan = Plan(
            sets,
            [0 if tests else numbers[c.calls] for c in cases],
            slower * max(c.call_seconds for c in cases) + start,
            slower * job.timeout + start,
            strict=all(c.plain for c in cases),
            text_bytes=caps.output_kb << 10,
            live=tests is not None,
        )
        program = Program(folder / "program", _limits(caps))
        if job.sanitize:
            limits = sanitizer.limits(program.limits, caps)
            program = replace(program, limits=limits, environment=sanitizer.environment(caps), proc=True)
        if count:
            limits = instructions.limits(program.limits, caps)
            program = replace(program, limits=limits, command=instructions.command(program.command), proc=True)
        boxes = self.tools.boxes
        if tests is None:
            ran = run_program(boxes, program, plan)
        else:
            ran = run_tests(boxes, program, tests, plan, cases[0].straight)
        self.metrics.add(
            "sandbox_run_cpu_seconds_total", ran.cpu_seconds, mode="grouped" if len(cases) > 1 else "alone"
        )
        self.metrics.observe("sandbox_run_seconds", ran.cpu_seconds, harness="rpc")
        if ran.cause:
            self.metrics.add("sandbox_kills_total", reason=ran.cause)
        return ran

    def _count(self, case: RpcCase, folder: Path, tests: Path | None) -> dict[str, int | str | None]:
        """Instructions of all calls; a reason where they cannot be counted."""
        if instructions.missing():
            return instructions.result(None)
        ran = self._run([case], folder, tests, count=True)
        return instructions.result(instructions.parse(ran.stderr) if ran.complete else None)

    def _preamble_trouble(self, case: RpcCase) -> str:
        """What is wrong with a job's preamble by itself; what a candidate's messages say of it proves nothing."""
        with self._folder() as folder:
            text = f"{unit([], case.job.preamble)}{codecs(case.prototype)}"
            compiled = self.tools.toolchain.compile(text, case.build, folder, caps=case.job.caps)
        self._count_compile(compiled, "preamble")
        return compiled.stderr[:400] if compiled.status == "error" else ""

    def _rejected(self, case: RpcCase, compiled: Compiled, stderr: str, together: int = 1) -> Outcome:
        """CE or CLE; an error when the fault lies in the job's preamble."""
        text = _readable(stderr)
        if compiled.status == "error" and only_preamble(compiled.stderr) and (why := self._preamble_trouble(case)):
            return Outcome(None, error=f"harness_compile_failed: the preamble does not compile: {why}")
        verdict = "CLE" if compiled.status == "limit" else "CE"
        return _described(Outcome(verdict, False, stderr=text), compiled, Ran(), together)


def _unusable_tests(case: RpcCase, trouble: str) -> Outcome:
    """Tests that do not compile are the data set's fault, unless the candidate itself chose the prototype."""
    if case.job.prototype:
        return Outcome(None, error=f"harness_compile_failed: the tests do not compile: {trouble[:800]}")
    text = f"the tests do not compile with this prototype: {case.prototype.text}\n{trouble}"
    return Outcome("CE", False, stderr=text[:_STDERR_KEPT])


def _slower(job: Job, count: bool) -> tuple[float, float]:
    """How many times the limits of time are stretched, and what is added to them."""
    if count:
        return instructions.SLOWDOWN, instructions.START_SECONDS
    # a report of ASan takes its time too, and a call that was ended while it wrote one would be a TLE
    return (sanitizer.SLOWDOWN, sanitizer.REPORT_SECONDS) if job.sanitize else (1.0, 0.0)


def _limits(caps: Caps) -> Limits:
    return Limits(
        cpu_seconds=_RUN_CPU_SECONDS,
        memory_bytes=caps.memory_mb << 20,
        processes=caps.processes,
        file_bytes=caps.file_mb << 20,
        output_bytes=_RECORDS_BYTES,
    )


def _first_line(case: RpcCase) -> int:
    return 1 + case.job.code[: len(case.job.code) - len(case.code)].count("\n")


@functools.cache
def _witness() -> RpcCase:
    head = "int same(int value)"
    case = prepare(Job("witness", f"{head} {{ return value; }}", head, [{"args": [7], "expected": 7}]))
    assert isinstance(case, RpcCase)
    return case


def _described(outcome: Outcome, compiled: Compiled, ran: Ran, together: int) -> Outcome:
    """The outcome with what it cost; the cost of a group is shared evenly."""
    return replace(
        outcome,
        harness={"grouped": together > 1},
        compile={"cpu_ms": round(1000 * compiled.cpu_seconds / together, 3), "pch_hit": compiled.pch_hit},
        run={"cpu_ms": round(1000 * ran.cpu_seconds / together, 3)},
    )


def _lines_of(stderr: str, at: int) -> str:
    return "\n".join(line for line in stderr.splitlines() if line.startswith(f"c{at}:"))


def _readable(stderr: str) -> str:
    return _SCOPE.sub("", _LABEL.sub("candidate", stderr))[:_STDERR_KEPT]

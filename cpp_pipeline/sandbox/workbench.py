"""Compiling and running cases, alone or many in one unit.

Belongs here: rounds of compilation, who is blamed for an error, and when a group is taken apart.
Not here: which cases of a batch go together (`judge`).
"""

from __future__ import annotations

import contextlib
import functools
import logging
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from cpp_pipeline.sandbox.isolation import Bubblewrap, IsolationError
from cpp_pipeline.sandbox.metrics import Metrics
from cpp_pipeline.sandbox.program import Entry, blamed, only_preamble, unit
from cpp_pipeline.sandbox.runs import Plan, Ran, Record, run_program
from cpp_pipeline.sandbox.toolchain import Compiled, Toolchain
from cpp_pipeline.sandbox.types import Job
from cpp_pipeline.sandbox.verdicts import Case, Outcome, assess, broken, prepare

logger = logging.getLogger(__name__)
ROUNDS = 5
_RUNS = 2
_STDERR_KEPT = 4096
_LABEL = re.compile(r"\bc(\d+)(?=:\d+:)")
_SCOPE = re.compile(r"\bc\d+::")


class Workbench:
    """Judges cases with one compiler and one kind of box."""

    def __init__(self, boxes: Bubblewrap, toolchain: Toolchain, metrics: Metrics) -> None:
        self.boxes, self.toolchain, self.metrics = boxes, toolchain, metrics

    @contextlib.contextmanager
    def _folder(self) -> Iterator[Path]:
        folder = self.toolchain.open_folder()
        try:
            yield folder
        finally:
            shutil.rmtree(folder)

    def alone(self, case: Case) -> Outcome:
        """Judge one case in a unit of its own.

        Raises
        ------
        IsolationError
            A box did not start, or trouble of the machine kept the tests from running.
        """
        self.metrics.add("sandbox_candidates_total", label='mode="alone"')
        with self._folder() as folder:
            compiled = self._compile([case], folder)
            if compiled.status != "ok":
                return self._rejected(compiled, compiled.stderr)
            ran = self._run_surely(case, folder)
        outcome = assess(case, _only(ran), ran.cause)
        if outcome.malformed or ran.malformed or not ran.complete:
            self.metrics.add("sandbox_tamper_signals_total")
        return _with(outcome, compiled, grouped=False)

    def _run_surely(self, case: Case, folder: Path) -> Ran:
        """Run one case, once more when tests did not start; what is left is the candidate's fault or an error.

        A plain candidate cannot disturb the runner, so that trouble then is always the machine's. Any other shares
        the runner's process from before `main`, and nothing that leaves the box proves whose fault it is; a known
        program beside it tells whether the machine works.
        """
        for _ in range(_RUNS):
            ran = self._run([case], folder)
            stalled = case.plain and not ran.complete and ran.cause != "OLE"
            if not stalled and not broken(_only(ran)):
                return ran
        if case.plain or not self._machine_works():
            raise IsolationError("the runner could not start a test")
        self.metrics.add("sandbox_tamper_signals_total")
        return ran

    def _machine_works(self) -> bool:
        with self._folder() as folder:
            case = _witness()
            if self._compile([case], folder).status != "ok":
                return False
            ran = self._run([case], folder)
        return ran.complete and assess(case, _only(ran), ran.cause).verdict == "AC"

    def group(self, cases: Sequence[Case]) -> list[Outcome]:
        """Judge plain cases of one preamble and standard in one unit; outcomes in the same order."""
        outcomes: dict[int, Outcome] = {}
        left = list(range(len(cases)))
        for _ in range(ROUNDS):
            if not left:
                break
            with self._folder() as folder:
                members = [cases[i] for i in left]
                compiled = self._compile(members, folder)
                if compiled.status == "ok":
                    for i, outcome in zip(left, self._run_group(members, folder, compiled), strict=True):
                        outcomes[i] = outcome
                    left = []
                    break
            guilty = blamed(compiled.stderr) if compiled.status == "error" else set()
            if not guilty:
                break
            for at in guilty:
                outcomes[left[at]] = self._rejected(compiled, _lines_of(compiled.stderr, at), grouped=True)
            left = [i for at, i in enumerate(left) if at not in guilty]
        if len(left) == 1:
            outcomes[left[0]] = self.alone(cases[left[0]])
        elif left:
            middle = len(left) // 2
            for half in (left[:middle], left[middle:]):
                outcomes.update(zip(half, self.group([cases[i] for i in half]), strict=True))
        return [outcomes[i] for i in range(len(cases))]

    def _run_group(self, cases: Sequence[Case], folder: Path, compiled: Compiled) -> list[Outcome]:
        ran = self._run(cases, folder)
        by_case: list[dict[int, Record]] = [{} for _ in cases]
        for (entry, test), record in ran.records.items():
            by_case[entry][test] = record
        if not ran.complete:
            logger.warning("a group of %d was lost (%s); judging one by one", len(cases), ran.cause or "runner")
            self.metrics.add("sandbox_group_lost_total")
            return [self.alone(case) for case in cases]
        self.metrics.add("sandbox_candidates_total", len(cases), 'mode="grouped"')
        return [
            self.alone(case) if broken(found) else _with(assess(case, found, "RE"), compiled, grouped=True)
            for case, found in zip(cases, by_case, strict=True)
        ]

    def _compile(self, cases: Sequence[Case], folder: Path) -> Compiled:
        entries = [Entry(c.job.code, c.prototype, c.plain) for c in cases]
        job = cases[0].job
        compiled = self.toolchain.compile(unit(entries, job.preamble), job.std, folder)
        label = f'mode="{"grouped" if len(cases) > 1 else "alone"}"'
        self.metrics.add("sandbox_compiles_total", label=label)
        self.metrics.add("sandbox_compile_cpu_seconds_total", compiled.cpu_seconds, label)
        self.metrics.add("sandbox_pch_hits_total" if compiled.pch_hit else "sandbox_pch_misses_total")
        return compiled

    def _run(self, cases: Sequence[Case], folder: Path) -> Ran:
        sets = list(dict.fromkeys(c.calls for c in cases))
        numbers = {calls: i for i, calls in enumerate(sets)}
        plan = Plan(
            sets,
            [numbers[c.calls] for c in cases],
            max(c.call_seconds for c in cases),
            max(c.job.timeout_seconds for c in cases),
            strict=all(c.plain for c in cases),
        )
        ran = run_program(self.boxes, folder / "program", plan)
        label = f'mode="{"grouped" if len(cases) > 1 else "alone"}"'
        self.metrics.add("sandbox_run_cpu_seconds_total", ran.cpu_seconds, label)
        return ran

    def _rejected(self, compiled: Compiled, stderr: str, grouped: bool = False) -> Outcome:
        """CE or CLE; an error when the fault lies in the job's preamble."""
        text = _readable(stderr)
        if compiled.status == "error" and only_preamble(compiled.stderr):
            return Outcome(None, error=f"harness_compile_failed: the preamble does not compile: {text[:400]}")
        verdict = "CLE" if compiled.status == "limit" else "CE"
        return _with(Outcome(verdict, False, stderr=text), compiled, grouped=grouped)


def _only(ran: Ran) -> dict[int, Record]:
    """Records of a unit with one entry, by test."""
    return {test: record for (_, test), record in ran.records.items()}


@functools.cache
def _witness() -> Case:
    head = "int same(int value)"
    return prepare(Job("witness", f"{head} {{ return value; }}", head, [{"args": [7], "expected": 7}]))


def _with(outcome: Outcome, compiled: Compiled, grouped: bool) -> Outcome:
    harness = {"grouped": grouped, "pch": compiled.pch_hit}
    return Outcome(
        *(outcome.verdict, outcome.compile_ok, outcome.tests, outcome.stdout, outcome.stderr, outcome.error),
        harness,
        outcome.malformed,
    )


def _lines_of(stderr: str, at: int) -> str:
    return "\n".join(line for line in stderr.splitlines() if line.startswith(f"c{at}:"))


def _readable(stderr: str) -> str:
    return _SCOPE.sub("", _LABEL.sub("candidate", stderr))[:_STDERR_KEPT]

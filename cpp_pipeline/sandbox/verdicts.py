"""From a job to what can be run, and from what ran to a verdict. Pure functions; expected values stay here.

Belongs here: encoding of tests, comparison, the order of verdicts. Not here: compiling and running (`judge`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cpp_pipeline.sandbox import values
from cpp_pipeline.sandbox.lexer import key, normalised
from cpp_pipeline.sandbox.plain import is_plain, plain_preamble
from cpp_pipeline.sandbox.prototype import Prototype, parse_signature
from cpp_pipeline.sandbox.runs import BROKEN, STATUS, VALUE, Record
from cpp_pipeline.sandbox.types import STANDARDS, Job, Result, TestResult

CALL_SHARE = 0.1
"""One call may take this share of the job's CPU time, and never less than `CALL_FLOOR_SECONDS`."""
CALL_FLOOR_SECONDS = 0.02
_TEXT_KEPT = 4096


@dataclass(frozen=True)
class Case:
    """A job made ready: encoded calls, expected values, and whether it may share a unit."""

    job: Job
    prototype: Prototype
    calls: tuple[bytes, ...]
    expected: tuple[Any, ...]
    plain: bool
    key: str

    @property
    def call_seconds(self) -> float:
        """CPU seconds of one call."""
        return max(CALL_FLOOR_SECONDS, CALL_SHARE * self.job.timeout_seconds)


@dataclass(frozen=True)
class Outcome:
    """What judging one case gave, before it is addressed to the jobs that asked for it."""

    verdict: str | None
    compile_ok: bool | None = None
    tests: tuple[TestResult, ...] = ()
    stdout: str = ""
    stderr: str = ""
    error: str | None = None
    harness: Mapping[str, Any] = field(default_factory=dict)
    malformed: bool = False


def prepare(job: Job) -> Case:
    """Encode a job.

    Raises
    ------
    ValueError
        The job itself is unusable: an unsupported signature, or a test that does not fit it.
    """
    if job.std not in STANDARDS:
        raise ValueError(f"std {job.std!r}: use one of {', '.join(STANDARDS)}")
    prototype = parse_signature(job.signature)
    calls, expected = [], []
    for index, test in enumerate(job.tests):
        try:
            if test.keys() != {"args", "expected"}:
                raise ValueError(f"fields are {sorted(test)}, not args and expected")
            if len(test["args"]) != len(prototype.params):
                raise ValueError(f"{len(test['args'])} arguments for {len(prototype.params)} parameters")
            frames = [values.encode(k, a) for (k, _), a in zip(prototype.params, test["args"], strict=True)]
            calls.append(b"".join(frames))
            expected.append(values.normalise(prototype.return_type, test["expected"]))
        except (ValueError, TypeError) as error:
            raise ValueError(f"test {index} of {prototype.name}: {error}") from error
    if not calls:
        raise ValueError(f"job {job.id!r} has no tests")
    tests = json.dumps(job.tests, sort_keys=True)
    rest = (job.signature, job.preamble, job.std, repr(job.timeout_seconds), tests)
    plain = plain_preamble(job.preamble) and is_plain(job.code, job.signature, prototype.name)
    return Case(job, prototype, tuple(calls), tuple(expected), plain, key(normalised(job.code), *rest))


def assess(case: Case, records: Mapping[int, Record], cause: str) -> Outcome:
    """Verdicts of all tests; `cause` is the verdict of tests without a record."""
    tests: list[TestResult] = []
    malformed = False
    for index, expected in enumerate(case.expected):
        record = records.get(index)
        if record is None or record.status != VALUE:
            verdict = cause or "RE" if record is None else STATUS.get(record.status, "RE")
            tests.append(TestResult(index, verdict))
            continue
        try:
            actual = values.decode(case.prototype.return_type, record.value)
        except values.WireError:
            malformed = True
            tests.append(TestResult(index, "RE"))
            continue
        right = values.equal(case.prototype.return_type, actual, expected)
        tests.append(TestResult(index, "AC" if right else "WA", values.to_json(actual)))
    out, err = (
        b"".join(getattr(records[i], stream) for i in sorted(records))[:_TEXT_KEPT].decode("utf-8", "replace")
        for stream in ("stdout", "stderr")
    )
    return Outcome(summary(tests), True, tuple(tests), out, err, malformed=malformed)


def summary(tests: Sequence[TestResult]) -> str:
    """AC when all pass, PA when some do, WA when only values came back, else the gravest cause."""
    found = [t.verdict for t in tests]
    passed = found.count("AC")
    if passed:
        return "AC" if passed == len(found) else "PA"
    if "WA" in found:
        return "WA"
    return next(v for v in ("TLE", "MLE", "OLE", "RE") if v in found)


def broken(records: Mapping[int, Record]) -> bool:
    """True when the runner could not start a child, or one stood still without using time: no fact about the case."""
    return any(r.status == BROKEN for r in records.values())


def same(left: Outcome, right: Outcome) -> bool:
    """Agreement of two judgements; tests that ran out of time in either do not count, since time is not exact."""
    timed = {"TLE"}
    if left.verdict in ("CE", "CLE") or right.verdict in ("CE", "CLE"):
        return left.verdict == right.verdict
    pairs = zip(left.tests, right.tests, strict=True)
    return all(a == b for a, b in pairs if not {a.verdict, b.verdict} & timed)


def address(outcome: Outcome, job: Job, isolation: str, extra: Mapping[str, Any]) -> Result:
    """The result of one job from the outcome of its case."""
    scored = outcome.error is None
    tests = list(outcome.tests)
    if scored and not outcome.compile_ok:
        tests = [TestResult(i, outcome.verdict or "CE") for i in range(len(job.tests))]
    return Result(
        id=job.id,
        verdict=outcome.verdict if scored else None,
        compile_ok=outcome.compile_ok if scored else None,
        tests_passed=sum(t.verdict == "AC" for t in tests) if scored else None,
        tests_total=len(job.tests),
        tests=tests if scored else [],
        stdout=outcome.stdout,
        stderr=outcome.stderr,
        error=outcome.error,
        isolation=isolation,
        harness={"mode": "rpc", "forgeable": False, **outcome.harness, **extra},
    )

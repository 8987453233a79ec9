"""From what ran to a verdict. Pure functions; expected values stay here.

Belongs here: comparison, and the order of verdicts. Not here: compiling and running (`workbench`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cpp_pipeline.sandbox.judging import values
from cpp_pipeline.sandbox.judging.cases import Case, Outcome, RpcCase
from cpp_pipeline.sandbox.judging.runs import BROKEN, STATUS, VALUE, Ran, Record
from cpp_pipeline.sandbox.types import FORGEABLE, Job, Result, TestResult

_TEXT_KEPT = 4096
_GRAVEST = ("TLE", "MLE", "OLE", "RE")


def assess(case: RpcCase, records: Mapping[int, Record], cause: str) -> Outcome:
    """Verdicts of all tests; `cause` is the verdict of tests without a record."""
    tests: list[TestResult] = []
    malformed = False
    for index in range(case.total):
        line, check = case.sites[index] if case.sites else (None, "")
        record = records.get(index)
        if record is None or record.status != VALUE:
            verdict = cause or "RE" if record is None else STATUS.get(record.status, "RE")
            cpu_ms = None if record is None else _milliseconds(record)
            tests.append(TestResult(index, verdict, None, line, check, cpu_ms))
            continue
        try:
            right, actual = _compare(case, index, record)
        except values.WireError:
            malformed = True
            tests.append(TestResult(index, "RE", None, line, check, _milliseconds(record)))
            continue
        tests.append(TestResult(index, "AC" if right else "WA", actual, line, check, _milliseconds(record)))
    out, err = (
        b"".join(getattr(records[i], stream) for i in sorted(records))[:_TEXT_KEPT].decode("utf-8", "replace")
        for stream in ("stdout", "stderr")
    )
    tamper = ("malformed_frame",) if malformed else ()
    return Outcome(summary([t.verdict for t in tests]), True, tuple(tests), out, err, tamper=tamper)


def _milliseconds(record: Record) -> float:
    return round(1000 * record.cpu_seconds, 3)


def _compare(case: RpcCase, index: int, record: Record) -> tuple[bool, Any]:
    """Whether a call passed, and the value that came back; raises WireError for bytes that are no reply."""
    if case.sites:  # compared where the tests are; here the value is only shown
        return record.detail == 1, _shown(case, record.value)
    result, references = values.decode_reply(case.prototype, record.value)
    actual = values.to_json(result)
    right = values.equal(case.prototype.return_type, result, case.expected[index])
    after = case.after[index]
    if after is not None:
        kinds = [kind for (kind, _), by in zip(case.prototype.params, case.prototype.references, strict=True) if by]
        wanted = [value for value, by in zip(after, case.prototype.references, strict=True) if by]
        right = right and all(
            expected is None or values.equal(kind, value, expected)
            for kind, value, expected in zip(kinds, references, wanted, strict=True)
        )
        actual = {"result": actual, "after": [values.to_json(value) for value in references]}
    return right, actual


def _shown(case: RpcCase, frame: bytes) -> Any:
    try:
        return values.to_json(values.decode_reply(case.prototype, frame)[0]) if frame else None
    except values.WireError:  # cut off, because it was long
        return None


def summary(found: Sequence[str]) -> str:
    """AC when all pass, PA when some do, WA when only values came back, else the gravest cause."""
    passed = found.count("AC")
    if passed:
        return "AC" if passed == len(found) else "PA"
    if "WA" in found:
        return "WA"
    return next(v for v in _GRAVEST if v in found)


def broken(records: Mapping[int, Record]) -> bool:
    """True when the runner could not start a child, or one stood still without using time: no fact about the case."""
    return any(r.status == BROKEN for r in records.values())


def only(ran: Ran) -> dict[int, Record]:
    """Records of a unit with one entry, by test."""
    return {test: record for (_, test), record in ran.records.items()}


def same(left: Outcome, right: Outcome) -> bool:
    """Agreement of two judgements; tests that ran out of time in either do not count, since time is not exact."""
    if left.verdict in ("CE", "CLE") or right.verdict in ("CE", "CLE"):
        return left.verdict == right.verdict
    pairs = zip(left.tests, right.tests, strict=True)
    return all(a == b for a, b in pairs if "TLE" not in {a.verdict, b.verdict})


def address(outcome: Outcome, job: Job, case: Case | None, extra: Mapping[str, Any]) -> Result:
    """The result of one job from the outcome of its case; `case` is None where the job itself was unusable.

    `extra` are further fields of `Result`, `harness` among them.
    """
    scored = outcome.error is None
    total = case.total if case is not None else len(job.test_cases)
    tests = list(outcome.tests)
    if scored and not outcome.compile_ok:
        tests = [TestResult(i, outcome.verdict or "CE") for i in range(total)]
    mode = case.mode if case is not None else job.harness
    fields = {**extra, "harness": {"mode": mode, "forgeable": mode in FORGEABLE, **outcome.harness, **extra["harness"]}}
    return Result(
        id=job.id,
        verdict=outcome.verdict if scored else None,
        compile_ok=outcome.compile_ok if scored else None,
        run_ok=bool(outcome.compile_ok) and all(t.verdict in ("AC", "WA") for t in tests) if scored else None,
        tests_passed=sum(t.verdict == "AC" for t in tests) if scored else None,
        tests_total=total,
        tests=tests if scored else [],
        stdout=outcome.stdout,
        stderr=outcome.stderr,
        error=outcome.error,
        compile=dict(outcome.compile),
        run=dict(outcome.run),
        findings=list(outcome.findings),
        tamper=list(outcome.tamper),
        **fields,
    )

"""Problems and solutions as sandbox jobs.

Belongs here: the one way in which this room asks for verdicts. What follows from a verdict is decided by callers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cpp_pipeline.problems.rows import Row
from cpp_pipeline.problems.tests import loads_tests
from cpp_pipeline.sandbox.types import Job, Result

if TYPE_CHECKING:
    from cpp_pipeline.sandbox.client import SandboxClient

MUTANT_TIMEOUT_SECONDS = 2.0
"""CPU time of all tests of a mutant; the short limit makes endless loops cheap."""


PROBLEM_UNUSABLE = "harness_compile_failed"
"""Begins the error of a job whose preamble or signature cannot be judged: a fault of the problem, for good."""


class SandboxTrouble(RuntimeError):
    """Verdicts are missing for reasons of our own; nothing can be concluded from that."""


def job(row: Row, code: str, job_id: str, *, timeout: float = 5.0, tests: Sequence[Row] | None = None) -> Job:
    """`code` as a solution of the problem `row`, against the given tests, the row's tests, or else its asserts."""
    cases = loads_tests(row["tests"]) if tests is None else list(tests)
    return Job(
        id=job_id,
        code=code,
        prototype=row["signature"],
        test_cases=cases,
        test_code="" if cases else row["test_code"] or "",
        preamble=row["preamble"],
        timeout=timeout,
    )


def judge(client: SandboxClient, jobs: Sequence[Job]) -> list[Result]:
    """Results in the order of the jobs.

    A job of an unusable problem (bad preamble, unsupported signature) keeps its error: it has no verdict, and
    `compile_ok` is None, so callers refuse it as they refuse a solution that fails.

    Raises
    ------
    SandboxTrouble
        When a job has any other error in place of a verdict, after the client's retries.
    """
    if not jobs:
        return []
    results: list[Result] = client.batch_verify(jobs)
    failed = [r for r in results if r.error is not None and not r.error.startswith(PROBLEM_UNUSABLE)]
    if failed:
        raise SandboxTrouble(
            f"{len(failed)} of {len(results)} jobs have no verdict; first {failed[0].id}: {failed[0].error}. "
            "Run `cpp-pipeline sandbox check`, then try again."
        )
    return results

"""A judge behind another controller: one place with a queue, tokens and numbers in front of it.

Belongs here: forwarding, and what an unreachable controller means for a job. Not here: HTTP and retries (`client`).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Any, TypeVar, Unpack

from cpp_pipeline.sandbox.client import Options, SandboxClient, SandboxUnavailable
from cpp_pipeline.sandbox.metrics import Metrics
from cpp_pipeline.sandbox.types import CMakeJob, CMakeResult, Finding, Job, Result

_FIRST_ESTIMATE, _WEIGHT = 0.15, 0.05
T = TypeVar("T")


class Tally:
    """Counts results that were judged elsewhere, and what they cost."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._seconds_per_job = _FIRST_ESTIMATE

    def counted(self, result: Result) -> Result:
        """The result itself."""
        if result.error is not None:
            self._metrics.add("sandbox_errors_total", kind=result.error.split(":")[0])
        mode = str(result.harness.get("mode", ""))
        self._metrics.add("sandbox_results_total", verdict=result.verdict or "error", harness=mode)
        spent = float(result.compile.get("cpu_ms") or 0) + float(result.run.get("cpu_ms") or 0)
        self._seconds_per_job += _WEIGHT * (spent / 1000 - self._seconds_per_job)
        return result

    def estimate(self, jobs: Sequence[Job]) -> float:
        """CPU seconds that the jobs will take, from the mean of those before."""
        return len(jobs) * self._seconds_per_job


def lost(job: Job, trouble: str) -> Result:
    """A job without a verdict."""
    return Result(job.id, None, None, None, len(job.test_cases), error=trouble)


class RemoteJudge:
    """Has all work done by the controller at `url`; errors stay errors. Further arguments are the client's.

    Raises
    ------
    SandboxUnavailable
        The controller cannot be reached, refuses, or judges nothing itself; the message says why.
    """

    def __init__(self, url: str, token: str | None = None, retries: int = 3, **options: Unpack[Options]) -> None:
        self.metrics = Metrics()
        self.url = url
        self._client = SandboxClient(url, token, retries, **options)
        try:
            found = self._client.capabilities()
            if found.get("reason"):
                raise SandboxUnavailable(f"{url} judges nothing: {found['reason']}")
        except BaseException:
            self._client.close()
            raise
        self.workers = int(found["workers"])
        self._found = found
        self._pool = ThreadPoolExecutor(self.workers, thread_name_prefix="remote")
        self._tally = Tally(self.metrics)

    def close(self) -> None:
        """End the calls; what they waited for gets an error."""
        self._client.close()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def batch(self, jobs: Sequence[Job], deadline: float | None = None) -> Generator[Result, None, None]:
        """Exactly one result a job, see `judge.Judging`; jobs without an answer get the error `worker_lost`.

        After the deadline no further job is sent; what was sent by then is judged.
        """
        answered: Counter[str] = Counter()
        trouble = "queue_timeout: the deadline passed before the job was sent on"
        try:
            with closing(self._client.stream(_until(deadline, jobs))) as results:  # type: ignore[type-var]
                for result in results:
                    answered[result.id] += 1
                    yield self._tally.counted(result)
        except SandboxUnavailable as error:
            trouble = f"worker_lost: {error}"
        for job in _without(jobs, answered):
            yield self._tally.counted(lost(job, trouble))

    def cmake(self, job: CMakeJob) -> Future[CMakeResult]:
        """Judge a CMakeLists.txt there."""
        return self._pool.submit(self._asked, lambda: self._client.cmake(job))

    def analyse(self, code: str, kind: str) -> Future[list[Finding]]:
        """Look for findings there."""
        return self._pool.submit(self._asked, lambda: self._client.analyze(code, kind))

    def estimate(self, jobs: Sequence[Job]) -> float:
        """CPU seconds that the jobs will take there, from the mean of those before."""
        return self._tally.estimate(jobs)

    def capabilities(self) -> dict[str, Any]:
        """What the other controller said of itself when this one started."""
        return {**self._found, "remote": self.url}

    def wait_seconds(self) -> int:
        """Always 0: the workers are there."""
        return 0

    def _asked(self, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except SandboxUnavailable as error:
            raise ConnectionError(str(error)) from error


def _until(deadline: float | None, jobs: Sequence[Job]) -> Iterator[Job]:
    for job in jobs:
        if deadline is not None and time.monotonic() > deadline:
            return
        yield job


def _without(jobs: Sequence[Job], answered: Counter[str]) -> list[Job]:
    """Jobs that have no result yet; ids need not be distinct."""
    left = []
    for job in jobs:
        if answered[job.id]:
            answered[job.id] -= 1
        else:
            left.append(job)
    return left

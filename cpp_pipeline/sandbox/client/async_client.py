"""Asynchronous client of the sandbox controller.

Belongs here: what can be asked of a controller, for code with an event loop. Not here: the client for code without one
(`client`), batches (`batches`), HTTP (`channel`), retries (`resilience`).

An infrastructure failure becomes `Result.error` (of single jobs) or `SandboxUnavailable`; it never becomes a verdict
or a score.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import asdict
from types import TracebackType
from typing import Any

import httpx

from cpp_pipeline.sandbox.client.batches import Batch, Numbered
from cpp_pipeline.sandbox.client.channel import Channel, judged
from cpp_pipeline.sandbox.client.resilience import Budget, Health
from cpp_pipeline.sandbox.types import CMakeJob, CMakeResult, Finding, Job, Result


class AsyncSandboxClient:
    """Talks to one controller; use as `async with`, in one event loop.

    Parameters
    ----------
    url : str
        Base address, for example `http://127.0.0.1:8888`.
    token : str, optional
        Bearer token.
    retries : int
        Further attempts after a connection that failed or broke, and for jobs whose error may pass (`worker_lost`,
        `internal`, `pool_exhausted`). Only jobs without a result are sent again.
    connect_timeout_seconds, read_timeout_seconds : float
        For making a connection; longest silence on a response. They have nothing to do with the limits of a job.
    queue_timeout_seconds : float
        How long one call waits in total for a controller that answers 429 or 503, at the pace of its Retry-After.
    outage_seconds : float
        How long a controller that has answered before may be away, for example to be started anew. One that never
        answered is given up after `retries`.
    breaker_failures, breaker_seconds : int, float
        After so many failed calls in a row all calls fail at once for so long; then one is tried.
    chunk_jobs, concurrency : int
        Most jobs in one request of a batch, and most of these requests at a time.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        retries: int = 3,
        connect_timeout_seconds: float = 5.0,
        read_timeout_seconds: float = 600.0,
        queue_timeout_seconds: float = 600.0,
        outage_seconds: float = 120.0,
        breaker_failures: int = 5,
        breaker_seconds: float = 10.0,
        chunk_jobs: int = 512,
        concurrency: int = 4,
    ) -> None:
        timeout = httpx.Timeout(read_timeout_seconds, connect=connect_timeout_seconds, pool=None)
        budget = Budget(retries, queue_timeout_seconds, outage_seconds)
        self._channel = Channel(url, token, timeout, budget, Health(url, breaker_failures, breaker_seconds))
        self._chunk_jobs, self._concurrency = chunk_jobs, concurrency

    async def __aenter__(self) -> AsyncSandboxClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._channel.http.aclose()

    async def verify(self, job: Job) -> Result:
        """Judge one job; raises SandboxUnavailable when no answer can be had."""
        return await self._channel.ask("/execute", asdict(job), judged)

    async def cmake(self, job: CMakeJob) -> CMakeResult:
        """Judge a CMakeLists.txt; raises SandboxUnavailable when no answer can be had."""
        return await self._channel.ask("/cmake", asdict(job), lambda data: CMakeResult(**data))

    async def analyze(self, code: str, kind: str) -> list[Finding]:
        """Findings of kind bugs, performance or style."""
        body = {"code": code, "kind": kind}
        return await self._channel.ask("/analyze", body, _findings)

    async def capabilities(self) -> dict[str, Any]:
        """What the controller can do: isolation, compilers, standards, workers."""
        return await self._channel.ask("/capabilities", None, dict)

    async def batch_verify(
        self, jobs: Sequence[Job], on_result: Callable[[Result], object] | None = None, progress: bool = False
    ) -> list[Result]:
        """Judge jobs; results in the order of `jobs`.

        `on_result` is called with each result as it arrives, in any order; `progress` draws a line on stderr.
        Jobs whose result did not arrive after all retries have `error` "worker_lost: ...".

        Raises
        ------
        SandboxUnavailable
            The controller refused a request for good, or gave no result at all.
        ValueError
            A job cannot be written as JSON, for example since a test holds NaN.
        """
        results: dict[int, Result] = {}
        with progress_line(len(jobs), progress) as show:
            async with aclosing(self.numbered(jobs)) as found:
                async for position, result in found:
                    results[position] = result
                    show(result)
                    if on_result:
                        on_result(result)
        return [results[i] for i in range(len(jobs))]

    async def stream(self, jobs: Iterable[Job]) -> AsyncGenerator[Result, None]:
        """Results as they arrive, in any order, each job's once; errors as in `batch_verify`.

        `jobs` is consumed as it is sent. Closing the iterator ends the requests and sends no further ones: a consumer
        that may stop early wraps it in `contextlib.aclosing`.
        """
        async with aclosing(self.numbered(jobs)) as found:
            async for _, result in found:
                yield result

    def numbered(self, jobs: Iterable[Job]) -> AsyncGenerator[Numbered, None]:
        """Like `stream`, each result with the position of its job."""
        return Batch(self._channel, self._chunk_jobs, self._concurrency).results(jobs)


def _findings(answer: dict[str, Any]) -> list[Finding]:
    found = answer["findings"]
    if not isinstance(found, list):
        raise TypeError(f"findings: a list is wanted, got {type(found).__name__}")
    return [Finding(**finding) for finding in found]


@contextmanager
def progress_line(total: int, shown: bool) -> Iterator[Callable[[Result], None]]:
    """Count results on stderr (done of total, errors, time left) when `shown`; yields what counts one."""
    if not shown:
        yield lambda _: None
        return
    from rich import progress
    from rich.console import Console

    columns = (progress.TextColumn("judged, {task.fields[errors]} errors"), progress.BarColumn())
    with progress.Progress(
        *columns, progress.MofNCompleteColumn(), progress.TimeRemainingColumn(), console=Console(stderr=True)
    ) as bar:
        task, errors = bar.add_task("", total=total, errors=0), 0

        def count(result: Result) -> None:
            nonlocal errors
            errors += result.error is not None
            bar.update(task, advance=1, errors=errors)

        yield count

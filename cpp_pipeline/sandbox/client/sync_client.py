"""Client of the sandbox controller for code without an event loop.

Belongs here: the bridge from threads to the one event loop of `AsyncSandboxClient`. Not here: what is asked, and what
an infrastructure failure becomes (`async_client`).
"""

from __future__ import annotations

import asyncio
import os
import queue
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import aclosing
from types import TracebackType
from typing import Any, TypedDict, TypeVar, Unpack

from cpp_pipeline.sandbox.client.async_client import AsyncSandboxClient, progress_line
from cpp_pipeline.sandbox.client.batches import Numbered
from cpp_pipeline.sandbox.client.resilience import SandboxUnavailable
from cpp_pipeline.sandbox.types import CMakeJob, CMakeResult, Finding, Job, Result

__all__ = ["AsyncSandboxClient", "SandboxClient", "SandboxUnavailable"]
T = TypeVar("T")


class Options(TypedDict, total=False):
    """Further keywords of `AsyncSandboxClient`, which documents them."""

    connect_timeout_seconds: float
    read_timeout_seconds: float
    queue_timeout_seconds: float
    outage_seconds: float
    breaker_failures: int
    breaker_seconds: float
    chunk_jobs: int
    concurrency: int


class SandboxClient:
    """Talks to one controller; use as a context manager, from any number of threads.

    Takes the arguments of `AsyncSandboxClient`. It may be used inside a running event loop too (notebooks, Dagster),
    which then stands still for the time of a call.
    """

    def __init__(self, url: str, token: str | None = None, retries: int = 3, **options: Unpack[Options]) -> None:
        self._client = AsyncSandboxClient(url, token, retries, **options)
        self._lock = threading.Lock()
        self._closed = False
        self._pid = os.getpid()
        started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._live(started)), name="sandbox", daemon=True)
        self._thread.start()
        self._loop, self._end = started.result()

    async def _live(self, started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]]) -> None:
        end = asyncio.Event()
        started.set_result((asyncio.get_running_loop(), end))
        await end.wait()
        calls = asyncio.all_tasks() - {asyncio.current_task()}
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await self._client.aclose()

    def __enter__(self) -> SandboxClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the calls of other threads with SandboxUnavailable, close the connections, end the thread."""
        with self._lock:
            if self._closed or self._pid != os.getpid():
                return
            self._closed = True
            self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    def verify(self, job: Job) -> Result:
        """Judge one job; raises SandboxUnavailable when no answer can be had."""
        return self._run(self._client.verify(job))

    def cmake(self, job: CMakeJob) -> CMakeResult:
        """Judge a CMakeLists.txt; raises SandboxUnavailable when no answer can be had."""
        return self._run(self._client.cmake(job))

    def analyze(self, code: str, kind: str) -> list[Finding]:
        """Findings of kind bugs, performance or style."""
        return self._run(self._client.analyze(code, kind))

    def capabilities(self) -> dict[str, Any]:
        """What the controller can do: isolation, compilers, standards, workers."""
        return self._run(self._client.capabilities())

    def batch_verify(
        self, jobs: Sequence[Job], on_result: Callable[[Result], object] | None = None, progress: bool = False
    ) -> list[Result]:
        """Judge jobs; results in their order; see `AsyncSandboxClient.batch_verify`.

        `on_result` is called in this thread; what it raises ends the batch.
        """
        results: dict[int, Result] = {}
        with progress_line(len(jobs), progress) as show:
            for position, result in self._numbered(jobs):
                results[position] = result
                show(result)
                if on_result:
                    on_result(result)
        return [results[i] for i in range(len(jobs))]

    def stream(self, jobs: Iterable[Job]) -> Iterator[Result]:
        """Results as they arrive; see `AsyncSandboxClient.stream`. `jobs` is consumed in another thread."""
        for _, result in self._numbered(jobs):
            yield result

    def _numbered(self, jobs: Iterable[Job]) -> Iterator[Numbered]:
        arrived: queue.SimpleQueue[Numbered | None] = queue.SimpleQueue()

        async def pump() -> None:
            async with aclosing(self._client.numbered(jobs)) as found:
                async for item in found:
                    arrived.put(item)

        future = self._submit(pump())
        future.add_done_callback(lambda _: arrived.put(None))
        try:
            while (item := arrived.get()) is not None:
                yield item
            _outcome(future)
        finally:
            future.cancel()

    def _run(self, call: Coroutine[Any, Any, T]) -> T:
        future = self._submit(call)
        try:
            return _outcome(future)
        finally:
            future.cancel()  # where waiting was interrupted

    def _submit(self, call: Coroutine[Any, Any, T]) -> Future[T]:
        with self._lock:
            if self._closed or self._pid != os.getpid():
                call.close()
                raise RuntimeError("this client is closed, or belongs to the process before a fork: make another")
            return asyncio.run_coroutine_threadsafe(call, self._loop)


def _outcome(future: Future[T]) -> T:
    try:
        return future.result()
    except CancelledError:
        raise SandboxUnavailable("the client was closed before the answer came") from None

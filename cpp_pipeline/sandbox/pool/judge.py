"""A judge whose work is done in leased pods.

Belongs here: dividing a batch among pods, and taking the jobs of a pod that died to another one. Not here: which pods
there are (`leases`).
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

from cpp_pipeline.sandbox.client import SandboxClient, SandboxUnavailable
from cpp_pipeline.sandbox.controller.remote import Tally, lost
from cpp_pipeline.sandbox.metrics import Metrics
from cpp_pipeline.sandbox.pool.claims import PoolError
from cpp_pipeline.sandbox.pool.leases import Leases, Source, Terms
from cpp_pipeline.sandbox.types import CMakeJob, CMakeResult, Finding, Job, Result

PORT = 8080
"""Where the judge of a pod answers."""
_ATTEMPTS = 3
_MOST_AT_ONCE = 64
_MOVED = ("worker_lost", "pool_exhausted")
_Lines = queue.SimpleQueue[tuple[int, Result] | None]
T = TypeVar("T")


class PoolJudge:
    """Judges in pods; see `judging.protocol.Judging`.

    Parameters
    ----------
    token : str, optional
        Bearer token of the pods' judges.
    port : int
        Where they answer.

    Raises
    ------
    PoolError
        The cluster cannot be asked, or refuses.
    """

    def __init__(self, source: Source, terms: Terms, token: str | None = None, port: int = PORT) -> None:
        self.metrics = Metrics()
        self.workers = terms.most
        self._tally = Tally(self.metrics)

        def connect(address: str) -> SandboxClient:
            # another pod does what one cannot: nothing is waited for here
            return SandboxClient(f"http://{address}:{port}", token, retries=0, outage_seconds=0.0)

        self._leases = Leases(source, terms, self.metrics, connect)
        self._threads = ThreadPoolExecutor(terms.most, thread_name_prefix="pod")
        self._leases.open()

    def close(self) -> None:
        """Give back every pod; what was at work there gets an error."""
        self._leases.close()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def wait_seconds(self) -> int:
        """0 when a pod is held; else when there may be one."""
        return self._leases.wait_seconds()

    def estimate(self, jobs: Sequence[Job]) -> float:
        """CPU seconds that the jobs will take there, from the mean of those before."""
        return self._tally.estimate(jobs)

    def capabilities(self) -> dict[str, Any]:
        """What the pod that was claimed last said of itself; little before there was one."""
        unknown = {"isolation": {"backend": "agent-sandbox", "level": None}}
        return {**unknown, **self._leases.about, "workers": self.workers}

    def batch(self, jobs: Sequence[Job], deadline: float | None = None) -> Generator[Result, None, None]:
        """Exactly one result a job; jobs whose pods died one after the other get the error `worker_lost`."""
        size = max(1, min(_MOST_AT_ONCE, -(-len(jobs) // self.workers)))
        lines: _Lines = queue.SimpleQueue()
        parts = [range(at, min(len(jobs), at + size)) for at in range(0, len(jobs), size)]
        futures = [self._threads.submit(self._judge, jobs, part, deadline, lines) for part in parts]
        for future in futures:
            future.add_done_callback(lambda _: lines.put(None))
        left, unfinished = set(range(len(jobs))), len(futures)
        try:
            while unfinished:
                line = lines.get()
                if line is None:
                    unfinished -= 1
                elif line[0] in left:
                    left.discard(line[0])
                    yield self._tally.counted(line[1])
        finally:
            for future in futures:
                future.cancel()
        for future in futures:
            if not future.cancelled():
                future.result()
        for at in sorted(left):
            yield self._tally.counted(lost(jobs[at], "worker_lost: the controller is stopping; send the job again"))

    def cmake(self, job: CMakeJob) -> Future[CMakeResult]:
        """Judge a CMakeLists.txt in a pod."""
        return self._threads.submit(self._asked, lambda client: client.cmake(job))

    def analyse(self, code: str, kind: str) -> Future[list[Finding]]:
        """Look for findings in a pod."""
        return self._threads.submit(self._asked, lambda client: client.analyze(code, kind))

    def _judge(self, jobs: Sequence[Job], part: Sequence[int], deadline: float | None, lines: _Lines) -> None:
        left = {at: lost(jobs[at], "worker_lost: no pod answered") for at in part}
        for _ in range(_ATTEMPTS):
            try:
                self._attempt(jobs, left, deadline, lines)
            except PoolError as error:
                late = deadline is not None and time.monotonic() > deadline
                kind = "queue_timeout" if late else "pool_exhausted"
                left = {at: lost(jobs[at], f"{kind}: {error}") for at in left}
                break
            if not left:
                break
        for line in left.items():
            lines.put(line)

    def _attempt(self, jobs: Sequence[Job], left: dict[int, Result], deadline: float | None, lines: _Lines) -> None:
        """Have what is left judged in one pod; what it does not answer stays."""
        with self._leases.lease(deadline) as lease:
            try:
                # jobs travel under their position, since the caller's ids need not be distinct
                for result in lease.client.stream([replace(jobs[at], id=str(at)) for at in left]):
                    at = int(result.id)
                    found = replace(result, id=jobs[at].id)
                    if (found.error or "").split(":")[0] in _MOVED:
                        left[at] = found
                        lease.lost = True
                    else:
                        del left[at]
                        lines.put((at, found))
            except (SandboxUnavailable, RuntimeError) as error:  # the latter of a client that was closed
                lease.lost = True
                left.update({at: lost(jobs[at], f"worker_lost: {error}") for at in left})

    def _asked(self, ask: Callable[[SandboxClient], T]) -> T:
        trouble: Exception | None = None
        for _ in range(_ATTEMPTS):
            try:
                with self._leases.lease() as lease:
                    try:
                        return ask(lease.client)
                    except (SandboxUnavailable, RuntimeError) as error:
                        lease.lost, trouble = True, error
            except PoolError as error:
                trouble = error
                break
        raise ConnectionError(str(trouble))

"""The service behind the routes: what is admitted, who judges it, and where its answer is kept.

Belongs here: admission, the threads that take results from the judge, drain. Not here: HTTP (`controller`, `web`).
"""

from __future__ import annotations

import functools
import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import TypeVar

from cpp_pipeline.sandbox.controller.admission import Admission, QueueFull, Ticket
from cpp_pipeline.sandbox.controller.replays import Answer, KeyReused, Replays
from cpp_pipeline.sandbox.controller.tokens import Tokens
from cpp_pipeline.sandbox.controller.web import Refused
from cpp_pipeline.sandbox.isolation import IsolationError
from cpp_pipeline.sandbox.judging.protocol import Judging
from cpp_pipeline.sandbox.metrics import Metrics
from cpp_pipeline.sandbox.types import Job, Result

logger = logging.getLogger(__name__)
QUEUE_SECONDS = 600.0
_THREADS = 16
_TRIM_BYTES = 1 << 20
PASSING = ("worker_lost", "internal", "queue_timeout", "pool_exhausted")
"""Errors that another attempt may not meet: an answer with one is not replayed."""
T = TypeVar("T")


@dataclass(frozen=True)
class Trouble:
    """Why nothing can be judged: `kind` of the error body, and a message with the remedy."""

    kind: str
    message: str


@dataclass(eq=False)
class _Run:
    """One request at work."""

    jobs: Sequence[Job]
    deadline: float | None
    answer: Answer
    ticket: Ticket
    arrived: float
    answered: list[str] = field(default_factory=list)
    passing: bool = False


class Service:
    """A judge, or the trouble that keeps it from working, with a bounded queue in front.

    Parameters
    ----------
    judge : Judging or Trouble
        Who judges; the service closes it.
    tokens : Tokens, optional
        Accepted bearer tokens; without them everybody is served.
    queue_seconds : float
        Estimated CPU seconds for each worker that may wait.
    """

    def __init__(
        self, judge: Judging | Trouble, tokens: Tokens | None = None, queue_seconds: float = QUEUE_SECONDS
    ) -> None:
        self.judge = None if isinstance(judge, Trouble) else judge
        self.trouble = judge if isinstance(judge, Trouble) else None
        self.tokens = tokens
        self.metrics = self.judge.metrics if self.judge else Metrics()
        workers = self.judge.workers if self.judge else 1
        self.admission = Admission(workers, queue_seconds, self.metrics)
        self.replays = Replays()
        self.draining = False
        self._lock = threading.Lock()
        self._closed = False
        self._others = 0
        self._runs: set[_Run] = set()
        # a thread waits for each request at work; further ones wait for a thread, where they can still be withdrawn
        self._threads = ThreadPoolExecutor(max(_THREADS, 4 * workers), thread_name_prefix="answer")

    def require(self) -> Judging:
        """The judge; refuses with 503 when draining, and when there is none."""
        if self.draining:
            raise Refused(503, "draining", "this controller is stopping; send the request again", retryable=True)
        if self.judge is None:
            assert self.trouble is not None
            raise Refused(503, self.trouble.kind, self.trouble.message)
        return self.judge

    def require_room(self) -> Judging:
        """The judge; refuses with 429 when the queue takes nothing more, or nobody could work on it."""
        judge = self.require()
        seconds = judge.wait_seconds()
        if seconds:
            headers = {"Retry-After": str(seconds)}
            text = f"no sandbox can be leased now; come again in {seconds} s"
            raise Refused(429, "pool_exhausted", text, retryable=True, headers=headers)
        if self.admission.full():
            raise _full(self.admission.refusal())
        return judge

    @property
    def reason(self) -> str:
        """Why nothing is judged; empty when it is."""
        return self.trouble.message if self.trouble else ""

    def replay(self, key: str | None, digest: bytes) -> Answer | None:
        """The answer to an earlier request with this key; refuses with 422 when that one had another body."""
        if key is None:
            return None
        try:
            answer = self.replays.find(key, digest)
        except KeyReused as error:
            raise Refused(422, "idempotency_key_reused", str(error)) from error
        if answer is not None:
            self.metrics.add("sandbox_replays_total", how="replayed" if answer.done else "joined")
        return answer

    def start(
        self, jobs: Sequence[Job], deadline: float | None = None, key: str | None = None, digest: bytes = b""
    ) -> Answer:
        """Begin to judge; the answer has one line of JSON for every job, in the order in which they are known.

        Parameters
        ----------
        deadline : float, optional
            In seconds of `time.monotonic()`.
        key, digest : str, bytes
            Idempotency key and what identifies the body.
        """
        judge = self.require()
        cost = judge.estimate(jobs)
        with self._lock:
            earlier = self.replay(key, digest)
            if earlier is not None:
                return earlier
            ticket = self._admit(cost, len(jobs))
            run = _Run(jobs, deadline, Answer(kept=key is not None), ticket, time.monotonic())
            self._runs.add(run)
            self._count()
            if key is not None:
                self.replays.keep(key, digest, run.answer)
        self.replays.trim()
        future = self._threads.submit(self._judge, judge, run)
        run.answer.on_abandoned(future.cancel)
        future.add_done_callback(functools.partial(self._finish, run))
        return run.answer

    def submit(self, cost: float, work: Callable[[Judging], Future[T]]) -> Future[T]:
        """Hand other work to the judge's workers, under the same bound of the queue."""
        judge = self.require()
        with self._lock:
            ticket = self._admit(cost, 1)
            self._others += 1
            self._count()
        try:
            future = work(judge)
        except BaseException:
            self._leave(ticket)
            raise
        future.add_done_callback(lambda _: self._leave(ticket))
        return future

    def idle(self) -> bool:
        """True when nobody waits for an answer."""
        with self._lock:
            return not self._others and not any(run.answer.read for run in self._runs)

    def close(self) -> None:
        """End all work; what was not answered gets the error worker_lost. A second call does nothing."""
        self.draining = True
        with self._lock:
            closed, self._closed = self._closed, True
        if closed:
            return
        if self.judge is not None:
            self.judge.close()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _admit(self, cost: float, jobs: int) -> Ticket:
        try:
            return self.admission.admit(cost, jobs)
        except QueueFull as error:
            raise _full(error) from error

    def _leave(self, left: Ticket | _Run) -> None:
        with self._lock:
            if isinstance(left, _Run):
                self._runs.discard(left)
            else:
                self._others -= 1
            self._count()
        (left.ticket if isinstance(left, _Run) else left).close()

    def _count(self) -> None:
        self.metrics.set("sandbox_inflight", len(self._runs) + self._others)

    def _judge(self, judge: Judging, run: _Run) -> None:
        with closing(judge.batch(run.jobs, run.deadline)) as results:
            for result in results:
                if not run.answered:
                    self.metrics.observe("sandbox_queue_wait_seconds", time.monotonic() - run.arrived)
                if not self._put(run, result):
                    return
                run.answered.append(result.id)
                run.ticket.done()

    def _put(self, run: _Run, result: Result) -> bool:
        run.passing |= (result.error or "").split(":")[0] in PASSING
        before = run.answer.size
        wanted = run.answer.put(json.dumps(result.to_json(), allow_nan=False).encode() + b"\n")
        if run.answer.kept and before // _TRIM_BYTES != run.answer.size // _TRIM_BYTES:
            self.replays.trim()
        return wanted

    def _finish(self, run: _Run, future: Future[None]) -> None:
        """Every job that the judge left without a result gets an error, and never a verdict."""
        try:
            if run.answer.wanted:
                for job in _left(run):
                    error = _reason(future)
                    self.metrics.add("sandbox_errors_total", kind=error.split(":")[0])
                    self._put(run, Result(job.id, None, None, None, len(job.test_cases), error=error))
        finally:
            run.answer.finish()
            if run.passing or not run.answer.wanted:
                self.replays.forget(run.answer)
            run.jobs = ()  # a kept answer keeps its lines, not what was asked
            self._leave(run)


def _left(run: _Run) -> Iterator[Job]:
    answered = Counter(run.answered)
    for job in run.jobs:
        if answered[job.id]:
            answered[job.id] -= 1
        else:
            yield job


def _reason(future: Future[None]) -> str:
    trouble = None if future.cancelled() else future.exception()
    if future.cancelled() or isinstance(trouble, CancelledError):
        return "worker_lost: the controller is stopping; send the job again"
    if isinstance(trouble, IsolationError | OSError):
        return f"worker_lost: {trouble}"
    logger.error("judging failed", exc_info=trouble)
    return f"internal: {trouble or 'the judge gave no result'}"


def _full(error: QueueFull) -> Refused:
    headers = {"Retry-After": str(error.retry_after)}
    return Refused(429, "queue_full", str(error), retryable=True, headers=headers)

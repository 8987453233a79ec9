"""How much work is let in, counted in estimated CPU seconds.

Belongs here: the bound of the queue, and when a refused request may come again. Not here: what a job costs (`judge`).
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

from cpp_pipeline.sandbox.metrics import Metrics

_SAMPLE_SECONDS = 1.0
_WEIGHT = 0.2
_SLOWEST, _FASTEST = 0.1, 10.0


class QueueFull(Exception):
    """No room; `retry_after` is when there should be some, in whole seconds of at least 1."""

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Admission:
    """A queue of at most `queue_seconds` estimated CPU seconds for each worker.

    Work larger than the whole queue is let in when nothing else is there. Estimates are off, and other work may share
    the cores: `Retry-After` uses the speed seen so far, in estimated seconds done per second and worker, as an
    exponentially weighted average over times at which all workers were busy.
    """

    def __init__(
        self, workers: int, queue_seconds: float, metrics: Metrics, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.workers, self.bound = workers, queue_seconds * workers
        self._metrics, self._clock = metrics, clock
        self._lock = threading.Lock()
        self._queued, self._depth = 0.0, 0
        self._speed, self._since, self._done = 1.0, clock(), 0.0

    def full(self) -> bool:
        """True when not even the smallest job would be let in."""
        return self._queued >= self.bound

    def refusal(self, cost: float = 0.0) -> QueueFull:
        """The exception for work of this cost; `Retry-After` is the time until it would fit."""
        over = self._queued - max(0.0, self.bound - cost)
        seconds = max(1, math.ceil(over / (self.workers * self._speed)))
        text = f"{self._depth} jobs of about {self._queued:.0f} CPU seconds are waiting for {self.workers} workers"
        return QueueFull(f"{text}; come again in {seconds} s", seconds)

    def admit(self, cost: float, jobs: int = 1) -> Ticket:
        """Let work in; raises QueueFull.

        Parameters
        ----------
        cost : float
            Estimated CPU seconds of all the jobs together.
        """
        with self._lock:
            if self._depth and self._queued + cost > self.bound:
                raise self.refusal(cost)
            if self._depth <= self.workers:
                self._since, self._done = self._clock(), 0.0
            self._count(cost, jobs)
        return Ticket(self, cost, jobs)

    def _release(self, cost: float, jobs: int) -> None:
        with self._lock:
            if self._depth > self.workers:
                self._measure(cost)
            self._count(-cost, -jobs)

    def _count(self, cost: float, jobs: int) -> None:
        self._depth += jobs
        self._queued = self._queued + cost if self._depth else 0.0
        self._metrics.set("sandbox_queue_depth", self._depth)
        self._metrics.set("sandbox_queue_cpu_seconds", self._queued)

    def _measure(self, cost: float) -> None:
        self._done += cost
        elapsed = self._clock() - self._since
        if elapsed >= _SAMPLE_SECONDS:
            speed = min(_FASTEST, max(_SLOWEST, self._done / elapsed / self.workers))
            self._speed += _WEIGHT * (speed - self._speed)
            self._since, self._done = self._clock(), 0.0


class Ticket:
    """Work that was let in and is given back job by job, or at once."""

    def __init__(self, admission: Admission, cost: float, jobs: int) -> None:
        self._admission, self._cost, self._left = admission, cost / max(1, jobs), jobs

    def done(self) -> None:
        """One job is answered."""
        if self._left:
            self._left -= 1
            self._admission._release(self._cost, 1)

    def close(self) -> None:
        """Give back what is left."""
        left, self._left = self._left, 0
        if left:
            self._admission._release(self._cost * left, left)

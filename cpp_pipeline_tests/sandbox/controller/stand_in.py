"""A judge that compiles nothing, for tests of what stands in front of a judge; and a server in a thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import uvicorn

from cpp_pipeline.sandbox.controller.app import create_app
from cpp_pipeline.sandbox.controller.service import Service
from cpp_pipeline.sandbox.metrics import Metrics
from cpp_pipeline.sandbox.types import CMakeJob, CMakeResult, Finding, Job, Result


class StandIn:
    """Every job is an AC of `seconds` CPU seconds.

    By its code: `wait` is answered after `go` is set, `lost` is an error that may pass, `boom` raises, `skip` gets no
    result.
    """

    def __init__(self, workers: int = 1, seconds: float = 1.0) -> None:
        self.workers, self.seconds = workers, seconds
        self.metrics = Metrics()
        self.go = threading.Event()
        self.asked: list[str] = []
        self.closed = False

    def batch(self, jobs: Sequence[Job], deadline: float | None = None) -> Iterator[Result]:
        for job in jobs:
            self.asked.append(job.id)
            if job.code == "wait":
                while not (self.go.wait(0.01) or self.closed):
                    pass
            if job.code == "boom":
                raise RuntimeError("out of order")
            if job.code == "lost":
                yield Result(job.id, None, None, None, 1, error="worker_lost: gone")
            elif deadline is not None and time.monotonic() > deadline:
                yield Result(job.id, None, None, None, 1, error="queue_timeout: too late")
            elif job.code != "skip":
                yield Result(job.id, "AC", True, 1, 1)

    def cmake(self, job: CMakeJob) -> Future[CMakeResult]:
        done: Future[CMakeResult] = Future()
        done.set_result(CMakeResult(job.id, "lint", True, None, None))
        return done

    def analyse(self, code: str, kind: str) -> Future[list[Finding]]:
        done: Future[list[Finding]] = Future()
        done.set_result([Finding(1, kind, "found")])
        return done

    def estimate(self, jobs: Sequence[Job]) -> float:
        return self.seconds * len(jobs)

    def capabilities(self) -> dict[str, Any]:
        return {"isolation": {"backend": "stand-in", "level": "none"}, "workers": self.workers}

    def wait_seconds(self) -> int:
        return 0

    def close(self) -> None:
        self.closed = True


@contextmanager
def served(service: Service) -> Iterator[str]:
    """The address of the service while the block runs; then it is closed."""
    server = uvicorn.Server(uvicorn.Config(create_app(service), port=0, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        service.close()


def until(met: Any, seconds: float = 10.0) -> None:
    """Wait for a condition; fails the test when it does not come."""
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end, "this did not happen"
        time.sleep(0.01)

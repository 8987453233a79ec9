"""What the controller needs of a judge: one on this machine, or one behind another controller."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from concurrent.futures import Future
from typing import Any, Protocol

from cpp_pipeline.sandbox.metrics import Metrics
from cpp_pipeline.sandbox.types import CMakeJob, CMakeResult, Finding, Job, Result


class Judging(Protocol):
    """What the controller needs: a judge here, or one behind another controller."""

    workers: int
    metrics: Metrics

    def batch(self, jobs: Sequence[Job], deadline: float | None = None) -> Generator[Result, None, None]:
        """Exactly one result a job, in the order in which they are known.

        `deadline` is a time of `time.monotonic`; what has not begun by then has error `queue_timeout`. Closing the
        iterator cancels what has not begun.
        """

    def cmake(self, job: CMakeJob) -> Future[CMakeResult]:
        """Judge a CMakeLists.txt on the judge's workers."""

    def analyse(self, code: str, kind: str) -> Future[list[Finding]]:
        """Look for findings on the judge's workers."""

    def estimate(self, jobs: Sequence[Job]) -> float:
        """CPU seconds that the jobs will take, from the mean of those before."""

    def capabilities(self) -> dict[str, Any]:
        """What can be judged, by what, and how it is isolated."""

    def wait_seconds(self) -> int:
        """Whole seconds after which work may come again, because nothing can take it now; 0 when something can."""

    def close(self) -> None:
        """End running boxes and remove what is left of them."""

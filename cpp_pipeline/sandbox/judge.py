"""A batch of jobs: what is judged once, what is judged together, and in what order results leave.

Belongs here: deduplication, grouping, the check of groups by samples, worker threads.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from cpp_pipeline.sandbox.isolation import Bubblewrap, IsolationError
from cpp_pipeline.sandbox.metrics import Metrics
from cpp_pipeline.sandbox.plain import unbalanced
from cpp_pipeline.sandbox.toolchain import Toolchain
from cpp_pipeline.sandbox.types import Job, Result
from cpp_pipeline.sandbox.verdicts import Case, Outcome, address, prepare, same
from cpp_pipeline.sandbox.workbench import Workbench
from cpp_pipeline.sandbox.workspace import Workspace

logger = logging.getLogger(__name__)
GROUP = 48
_SMALLEST_SPLIT = 32
_SAMPLE_EVERY, _SAMPLE_FROM = 64, 32


@dataclass
class _Batch:
    """Bookkeeping of one batch; lives and dies in `Judge.batch`."""

    asked: dict[str, list[Job]] = field(default_factory=dict)
    cases: dict[str, Case] = field(default_factory=dict)
    grouped: dict[str, Outcome] = field(default_factory=dict)
    samples: dict[str, Outcome] = field(default_factory=dict)
    mismatch: bool = False


class Judge:
    """Judges jobs on `workers` threads; each thread waits for a box, so threads are cheap.

    Parameters
    ----------
    workers : int
        Boxes side by side.
    bwrap : str
        Program to isolate with.

    Raises
    ------
    IsolationError, ToolchainError
        This machine cannot judge; the message says why and what to install.
    """

    def __init__(self, workers: int, bwrap: str = "bwrap") -> None:
        self.metrics = Metrics()
        self.workers = workers
        self._workspace = Workspace()
        self.work = self._workspace.path
        try:
            self.boxes = Bubblewrap(self.work, bwrap)
            self.toolchain = Toolchain(self.boxes, self.work)
            self.toolchain.prepared("c++20")
        except BaseException:
            self._workspace.close()
            raise
        self.bench = Workbench(self.boxes, self.toolchain, self.metrics)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="judge")

    def close(self) -> None:
        """End running boxes and remove the work folder."""
        self.boxes.close()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._workspace.close()

    def submit(self, work: Callable[[], object]) -> Future[object]:
        """Run other boxed work (CMake, analysis) on the same workers."""
        return self._pool.submit(work)

    def batch(self, jobs: Sequence[Job]) -> Iterator[Result]:
        """Results in the order in which they are known; every job gets exactly one.

        Identical jobs are judged once. Results of a group leave only after its samples agree.
        """
        batch = _Batch()
        for job in jobs:
            try:
                case = prepare(job)
            except ValueError as error:
                yield self._done(job, Outcome(None, error=f"harness_compile_failed: {error}"), batch, False)
                continue
            reason = unbalanced(job.code, job.preamble)
            if reason:
                self.metrics.add("sandbox_unbalanced_total")
                yield self._done(job, Outcome("CE", False, stderr=reason), batch, False)
                continue
            batch.asked.setdefault(case.key, []).append(job)
            batch.cases.setdefault(case.key, case)
        groups = self._groups([c for c in batch.cases.values() if c.plain])
        together = [c for g in groups for c in g]
        sampled = _sample(together)
        shared = {c.key for c in together}
        alone = [c for key, c in batch.cases.items() if key not in shared]
        pending: dict[Future[list[Outcome]], tuple[str, list[Case]]] = {}
        try:
            for group in groups:
                pending[self._pool.submit(self.bench.group, group)] = ("group", group)
            for kind, cases in (("sample", sampled), ("alone", alone)):
                for case in cases:
                    pending[self._pool.submit(self._alone, case)] = (kind, [case])
            yield from self._collect(pending, batch, together)
        finally:
            for future in pending:
                future.cancel()

    def _alone(self, case: Case) -> list[Outcome]:
        return [self.bench.alone(case)]

    def _groups(self, plain: list[Case]) -> list[list[Case]]:
        """Cases of one preamble, standard and time limit, at most `GROUP` together, spread over the workers."""
        by_unit: dict[tuple[str, str, float], list[Case]] = {}
        for case in plain:
            by_unit.setdefault((case.job.std, case.job.preamble, case.job.timeout_seconds), []).append(case)
        groups = []
        for cases in by_unit.values():
            size = min(GROUP, max(_SMALLEST_SPLIT, -(-len(cases) // self.workers)))
            groups += [cases[i : i + size] for i in range(0, len(cases), size)]
        return [g for g in groups if len(g) > 1]

    def _collect(
        self,
        pending: dict[Future[list[Outcome]], tuple[str, list[Case]]],
        batch: _Batch,
        together: list[Case],
    ) -> Iterator[Result]:
        held = {f for f, (kind, _) in pending.items() if kind != "alone"}
        while pending:
            done, _ = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                kind, cases = pending.pop(future)
                for case, outcome in zip(cases, _outcomes(future, len(cases)), strict=True):
                    if kind == "alone":
                        yield from self._answer(case, outcome, batch)
                    else:
                        (batch.grouped if kind == "group" else batch.samples)[case.key] = outcome
                held.discard(future)
            if not held and batch.grouped:
                if self._agree(batch):
                    for case in together:
                        yield from self._answer(case, batch.grouped[case.key], batch)
                else:
                    again = {self._pool.submit(self._alone, c): ("alone", [c]) for c in together}
                    pending.update(again)
                batch.grouped = {}

    def _agree(self, batch: _Batch) -> bool:
        for key, single in batch.samples.items():
            grouped = batch.grouped[key]
            if single.error or grouped.error or same(single, grouped):
                continue
            job = batch.cases[key].job
            logger.warning(
                "job %s: %s in a group, %s alone; the whole batch is judged again one by one",
                *(job.id, grouped.verdict, single.verdict),
            )
            self.metrics.add("sandbox_group_mismatch_total")
            batch.mismatch = True
        return not batch.mismatch

    def _answer(self, case: Case, outcome: Outcome, batch: _Batch) -> Iterator[Result]:
        for at, job in enumerate(batch.asked[case.key]):
            yield self._done(job, outcome, batch, at > 0)

    def _done(self, job: Job, outcome: Outcome, batch: _Batch, repeated: bool) -> Result:
        if outcome.error is not None:
            self.metrics.add("sandbox_errors_total", label=f'kind="{outcome.error.split(":")[0]}"')
        if repeated:
            self.metrics.add("sandbox_deduplicated_total")
        self.metrics.add("sandbox_results_total", label=f'verdict="{outcome.verdict or "error"}"')
        extra = {
            "deduplicated": repeated,
            "group_mismatch": batch.mismatch,
            "compiler": self.toolchain.version,
        }
        return address(outcome, job, self.boxes.name, extra)


def _outcomes(future: Future[list[Outcome]], count: int) -> list[Outcome]:
    """Outcomes of finished work; an exception becomes an error of every case, never a verdict."""
    trouble = future.exception()
    if trouble is None:
        return future.result()
    logger.error("judging failed", exc_info=trouble)
    kind = "worker_lost" if isinstance(trouble, IsolationError | OSError) else "internal"
    return [Outcome(None, error=f"{kind}: {trouble}")] * count


def _sample(together: list[Case]) -> list[Case]:
    """Every 64th grouped case, at least one of 32; where to begin is drawn from the cases themselves."""
    if len(together) < _SAMPLE_FROM:
        return []
    offset = int(together[0].key[:8], 16) % min(_SAMPLE_EVERY, len(together))
    return together[offset::_SAMPLE_EVERY]

"""The judge: what is judged together, what need not be judged again, and in what order results leave.

Belongs here: deduplication in a batch, in flight and from earlier runs; grouping, the check of groups by samples,
worker threads. Not here: how one case is judged (`workbench`, `modes`).
"""

from __future__ import annotations

import functools
import logging
import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from cpp_pipeline.sandbox.analyze import analyse
from cpp_pipeline.sandbox.cmake import judge_cmake
from cpp_pipeline.sandbox.compiling.pch import AT_START
from cpp_pipeline.sandbox.compiling.toolchain import Toolchain
from cpp_pipeline.sandbox.cpp.lexer import key
from cpp_pipeline.sandbox.cpp.plain import unbalanced
from cpp_pipeline.sandbox.isolation import Backend, IsolationError
from cpp_pipeline.sandbox.isolation.choose import open_backend
from cpp_pipeline.sandbox.judging.cache import VerdictCache
from cpp_pipeline.sandbox.judging.cases import CandidateFault, Case, Outcome, RpcCase, Tools, prepare
from cpp_pipeline.sandbox.judging.groups import grouped, sampled
from cpp_pipeline.sandbox.judging.modes import MODES
from cpp_pipeline.sandbox.judging.reuse import Abandoned, Flights, Known
from cpp_pipeline.sandbox.judging.verdicts import address, same
from cpp_pipeline.sandbox.judging.workbench import Workbench
from cpp_pipeline.sandbox.judging.workspace import Workspace
from cpp_pipeline.sandbox.metrics import Metrics
from cpp_pipeline.sandbox.types import (
    ANALYSES,
    FORGEABLE,
    HARNESSES,
    STANDARDS,
    CMakeJob,
    CMakeResult,
    Finding,
    Job,
    Result,
)
from cpp_pipeline.settings import Settings

logger = logging.getLogger(__name__)
_LATE = "queue_timeout: the deadline passed before the job was judged"
_FIRST_ESTIMATE, _ESTIMATE_WEIGHT = 0.15, 0.05
T = TypeVar("T")
P = ParamSpec("P")


@dataclass
class _Batch:
    """Bookkeeping of one batch; lives and dies in `Judge.batch`."""

    deadline: float | None
    asked: dict[str, list[Job]] = field(default_factory=dict)
    cases: dict[str, Case] = field(default_factory=dict)
    grouped: dict[str, Outcome] = field(default_factory=dict)
    samples: dict[str, Outcome] = field(default_factory=dict)
    mismatch: bool = False

    def add(self, job: Job, case: Case) -> None:
        """Note who asks for what; one job that is to be judged anew makes its case so."""
        self.asked.setdefault(case.key, []).append(job)
        if case.key not in self.cases or job.fresh:
            self.cases[case.key] = case

    def waiting(self) -> list[Case]:
        """Cases that are not answered."""
        return [case for key, case in self.cases.items() if key in self.asked]

    @property
    def late(self) -> bool:
        return self.deadline is not None and time.monotonic() > self.deadline


class Judge:
    """Judges jobs on `workers` threads; each thread waits for a box, so threads are cheap.

    Parameters
    ----------
    workers : int
        Boxes side by side; 0 means one a core.
    backend : str or callable
        Isolation, see `isolation.choose`; "auto" takes the first that this machine has. Or what makes a proven backend
        from a folder.
    bwrap : str
        Program of the bubblewrap backend.
    allow_unsafe : bool
        One of the two consents that backend "none" needs.
    cache : Path, optional
        Folder of verdicts of earlier runs; None keeps none.
    room : int, optional
        Bytes that precompiled headers may take; see `Toolchain`.

    Raises
    ------
    IsolationError, ToolchainError
        This machine cannot judge; the message says why and what to install.
    """

    def __init__(
        self,
        workers: int = 0,
        backend: str | Callable[[Path], Backend] = "auto",
        bwrap: str = "bwrap",
        allow_unsafe: bool = False,
        cache: Path | None = None,
        room: int | None = None,
    ) -> None:
        self.metrics = Metrics()
        self.workers = workers or os.cpu_count() or 1
        self._workspace = Workspace()
        self.work = self._workspace.path
        try:
            self.boxes = backend(self.work) if callable(backend) else _opened(backend, self.work, bwrap, allow_unsafe)
            self.toolchain = Toolchain(self.boxes, self.work, room=room)
            for build, wide in AT_START:
                self.toolchain.prepared(build, wide)
        except BaseException:
            self._workspace.close()
            raise
        self.isolation = {"backend": self.boxes.name, "level": self.boxes.level}
        self.tools = Tools(self.boxes, self.toolchain, self.metrics)
        self.bench = Workbench(self.tools)
        self._known = Known(VerdictCache.open(cache, key(self.toolchain.identity(), self.boxes.name, _sources())))
        self._flights = Flights()
        self._pool = ThreadPoolExecutor(self.workers, thread_name_prefix="judge")
        self._seconds_per_job = _FIRST_ESTIMATE

    def close(self) -> None:
        """End running boxes and remove the work folder."""
        self.boxes.close()
        # what waits fails by itself at its first box; a cancelled future would never wake those who wait for it
        self._pool.shutdown(wait=True)
        self._known.close()
        self._workspace.close()

    def cmake(self, job: CMakeJob) -> Future[CMakeResult]:
        """Judge a CMakeLists.txt on the judge's workers."""
        return self._submit(lambda: judge_cmake(self.boxes, self.work, job))

    def analyse(self, code: str, kind: str) -> Future[list[Finding]]:
        """Look for findings on the judge's workers."""
        return self._submit(lambda: analyse(self.toolchain, code, kind))

    def _submit(self, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> Future[T]:
        try:
            return self._pool.submit(work, *arguments, **named)
        except RuntimeError as error:
            if "shutdown" not in str(error):
                raise
            # closed while a batch was being handed to the workers
            raise IsolationError(f"the judge is closed: {error}") from error

    def estimate(self, jobs: Sequence[Job]) -> float:
        """CPU seconds that the jobs will take, from the mean of those before."""
        return len(jobs) * self._seconds_per_job

    def capabilities(self) -> dict[str, Any]:
        """What can be judged, by what, and how it is isolated."""
        return {
            "isolation": {**self.isolation, "cgroup": self.boxes.cgroup},
            "compiler": self.toolchain.version(),
            "standards": list(STANDARDS),
            "analyses": list(ANALYSES),
            "harnesses": {name: {"forgeable": name in FORGEABLE} for name in HARNESSES if name != "auto"},
            "workers": self.workers,
        }

    def wait_seconds(self) -> int:
        """Always 0: the workers are there."""
        return 0

    def batch(self, jobs: Sequence[Job], deadline: float | None = None) -> Generator[Result, None, None]:
        """Exactly one result a job, in the order in which they are known; see `protocol.Judging`.

        Identical jobs are judged once, also those of another batch that is under way. Results of a group leave only
        after its samples agree.
        """
        batch = _Batch(deadline)
        for job in jobs:
            if batch.late:
                yield self._done(job, None, _late(), batch)
                continue
            case, outcome = self._at_once(job)
            if outcome is not None:
                yield self._done(job, case, outcome, batch)
            elif case is not None:
                batch.add(job, case)
        asked = [c for c in batch.cases.values() if not c.job.fresh]
        known = self._known.find(asked)
        self.metrics.add("sandbox_cache_misses_total", len(asked) - len(known))
        for name, outcome in known.items():
            yield from self._answer(batch.cases[name], outcome, batch, hit=True)
        mine: list[Case] = []
        pending: dict[Future[list[Outcome]], tuple[str, list[Case]]] = {}
        try:
            for case in batch.waiting():
                elsewhere = None if case.job.fresh else self._flights.begin(case.key)
                if elsewhere is None:
                    mine.append(case)
                else:
                    pending[elsewhere] = ("elsewhere", [case])
            together = self._start(mine, batch, pending)
            yield from self._collect(pending, batch, together)
        finally:
            for future in pending:
                future.cancel()
            self._flights.abandon(c.key for c in mine if not c.job.fresh)

    def _at_once(self, job: Job) -> tuple[Case | None, Outcome | None]:
        """The case of a job, and its outcome where no compiler is needed for that."""
        try:
            case = prepare(job)
        except CandidateFault as error:
            return None, Outcome("CE", False, stderr=str(error))
        except ValueError as error:
            return None, Outcome(None, error=f"harness_compile_failed: {error}")
        reason = unbalanced(job.code, job.preamble) if case.mode == "rpc" else ""
        if not reason:
            return case, None
        self.metrics.add("sandbox_unbalanced_total")
        return case, Outcome("CE", False, stderr=reason)

    def _start(
        self, cases: list[Case], batch: _Batch, pending: dict[Future[list[Outcome]], tuple[str, list[Case]]]
    ) -> list[RpcCase]:
        """Hand the cases to the workers; gives those that are judged in groups."""
        groups = grouped(cases, self.workers)
        together = [c for g in groups for c in g]
        shared = {c.key for c in together}
        for group in groups:
            pending[self._submit(self._grouped, group, batch)] = ("group", list(group))
        for kind, chosen in (("sample", sampled(together)), ("alone", [c for c in cases if c.key not in shared])):
            for case in chosen:
                pending[self._submit(self._alone, case, batch)] = (kind, [case])
        return together

    def _grouped(self, cases: Sequence[RpcCase], batch: _Batch) -> list[Outcome]:
        return [_late()] * len(cases) if batch.late else self.bench.group(cases)

    def _alone(self, case: Case, batch: _Batch) -> list[Outcome]:
        if batch.late:
            return [_late()]
        if isinstance(case, RpcCase):
            return [self.bench.alone(case)]
        self.metrics.add("sandbox_candidates_total", mode=case.mode)
        return [MODES[case.mode](case, self.tools)]

    def _collect(
        self,
        pending: dict[Future[list[Outcome]], tuple[str, list[Case]]],
        batch: _Batch,
        together: list[RpcCase],
    ) -> Iterator[Result]:
        held = {f for f, (kind, _) in pending.items() if kind in ("group", "sample")}
        while pending:
            done, _ = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                kind, cases = pending.pop(future)
                held.discard(future)
                if kind == "elsewhere" and isinstance(future.exception(), Abandoned):
                    pending[self._submit(self._alone, cases[0], batch)] = ("alone", cases)
                    continue
                for case, outcome in zip(cases, _outcomes(future, len(cases)), strict=True):
                    if kind in ("alone", "elsewhere"):
                        yield from self._answer(case, outcome, batch, flown=kind == "elsewhere")
                    else:
                        (batch.grouped if kind == "group" else batch.samples)[case.key] = outcome
            if not held and batch.grouped:
                if self._agree(batch):
                    for case in together:
                        yield from self._answer(case, batch.grouped[case.key], batch)
                else:
                    for case in together:
                        pending[self._submit(self._alone, case, batch)] = ("alone", [case])
                batch.grouped = {}

    def _agree(self, batch: _Batch) -> bool:
        for name, single in batch.samples.items():
            together = batch.grouped[name]
            if single.error or together.error or same(single, together):
                continue
            logger.warning(
                "job %s: %s in a group, %s alone; the whole batch is judged again one by one",
                *(batch.cases[name].job.id, together.verdict, single.verdict),
            )
            self.metrics.add("sandbox_group_mismatch_total")
            batch.mismatch = True
        return not batch.mismatch

    def _answer(
        self, case: Case, outcome: Outcome, batch: _Batch, hit: bool = False, flown: bool = False
    ) -> Iterator[Result]:
        """Results of all jobs that asked for a case; those who wait elsewhere and the next run are told as well."""
        if not hit and not flown and not case.job.fresh:
            self._known.keep([(case.key, outcome)])
            if outcome.error == _LATE:  # our deadline is not theirs
                self._flights.abandon([case.key])
            else:
                self._flights.land(case.key, outcome)
        jobs = batch.asked.pop(case.key)
        cost = 0.0 if hit or flown else _cost(outcome)
        for at, job in enumerate(jobs):
            self._seconds_per_job += _ESTIMATE_WEIGHT * ((cost if at == 0 else 0.0) - self._seconds_per_job)
            where = "batch" if at > 0 else "flight" if flown else ""
            yield self._done(job, case, outcome, batch, hit=hit, repeated=where)

    def _done(
        self, job: Job, case: Case | None, outcome: Outcome, batch: _Batch, hit: bool = False, repeated: str = ""
    ) -> Result:
        if outcome.error is not None:
            self.metrics.add("sandbox_errors_total", kind=outcome.error.split(":")[0])
        if hit:
            self.metrics.add("sandbox_cache_hits_total")
        if repeated:
            self.metrics.add("sandbox_deduplicated_total", where=repeated)
        self.metrics.add(
            "sandbox_results_total",
            verdict=outcome.verdict or "error",
            harness=case.mode if case is not None else job.harness,
        )
        extra = {
            "isolation": dict(self.isolation),
            "cache": {"hit": hit, "key": case.key if case is not None else None},
            "harness": {
                "deduplicated": bool(repeated),
                "group_mismatch": batch.mismatch,
                "compiler": self.toolchain.version(case.job.compiler if case is not None else "g++"),
            },
        }
        return address(outcome, job, case, extra)


def _opened(backend: str, work: Path, bwrap: str, allow_unsafe: bool) -> Backend:
    consents = {"allow_unsafe": allow_unsafe, "environment_allows_unsafe": Settings.from_env().allow_unsafe}
    return open_backend(backend, work, bwrap=bwrap, **consents)


@functools.cache
def _sources() -> str:
    """Digest of our own sources that decide a verdict: after a change of them earlier verdicts are not used."""
    room = Path(__file__).resolve().parents[1]
    files = sorted(
        f for part in ("cpp", "compiling", "isolation", "judging", "pod") for f in (room / part).rglob("*.py")
    )
    return key(*(f.read_text() for f in files))


def _late() -> Outcome:
    return Outcome(None, error=_LATE)


def _cost(outcome: Outcome) -> float:
    """CPU seconds of one case."""
    return float(outcome.compile.get("cpu_ms", 0) + outcome.run.get("cpu_ms", 0)) / 1000


def _outcomes(future: Future[list[Outcome]], count: int) -> list[Outcome]:
    """Outcomes of finished work; an exception becomes an error of every case, never a verdict."""
    trouble = future.exception()
    if trouble is None:
        return future.result()
    lost = isinstance(trouble, IsolationError | OSError)
    logger.error("judging failed: %s", trouble, exc_info=None if lost else trouble)
    return [Outcome(None, error=f"{'worker_lost' if lost else 'internal'}: {trouble}")] * count

"""Choosing and proving who judges before anything untrusted runs.

Belongs here: the steps from nothing to a judge that may be trusted, or to the trouble why there is none.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cpp_pipeline.sandbox.compiling.toolchain import ToolchainError
from cpp_pipeline.sandbox.controller.remote import RemoteJudge
from cpp_pipeline.sandbox.controller.service import QUEUE_SECONDS, Service, Trouble
from cpp_pipeline.sandbox.controller.tokens import Tokens
from cpp_pipeline.sandbox.isolation import Backend, IsolationError
from cpp_pipeline.sandbox.judging.judge import Judge
from cpp_pipeline.sandbox.judging.protocol import Judging
from cpp_pipeline.sandbox.pool.judge import PORT, PoolJudge
from cpp_pipeline.sandbox.pool.leases import Source, Terms
from cpp_pipeline.sandbox.types import Job

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Remote:
    """Another controller that judges."""

    url: str
    token: str | None = None


@dataclass(frozen=True)
class Pool:
    """Pods of a SandboxWarmPool that judge."""

    source: Source
    terms: Terms
    token: str | None = None
    port: int = PORT


def start_service(
    workers: int = 0,
    tokens: Tokens | None = None,
    bwrap: str = "bwrap",
    backend: str | Callable[[Path], Backend] = "auto",
    *,
    allow_unsafe: bool = False,
    cache: Path | None = None,
    room: int | None = None,
    remote: Remote | Pool | None = None,
    queue_seconds: float = QUEUE_SECONDS,
) -> Service:
    """A service with a proven judge; or without one, with the reason, which every request is told.

    Parameters
    ----------
    workers, backend, bwrap, allow_unsafe, cache, room
        As in `Judge`.
    remote : Remote or Pool, optional
        Have another controller or leased pods judge; then the parameters above mean nothing.
    queue_seconds : float
        Estimated CPU seconds for each worker that may wait.

    Raises
    ------
    SandboxUnavailable
        The other controller cannot be used.
    PoolError
        The cluster of the pool cannot be asked, or refuses.
    """
    found: Judging | Trouble
    if isinstance(remote, Pool):
        found = PoolJudge(remote.source, remote.terms, remote.token, remote.port)
    elif remote is not None:
        found = RemoteJudge(remote.url, remote.token)
    else:
        found = _proven(lambda: Judge(workers, backend, bwrap, allow_unsafe, cache, room))
    if isinstance(found, Trouble):
        logger.error("nothing will be executed: %s", found.message)
    else:
        isolation = found.capabilities()["isolation"]
        named, level = str(isolation["backend"]), str(isolation["level"])
        found.metrics.add("sandbox_isolation_level", backend=named, level=level)
    return Service(found, tokens, queue_seconds)


def _proven(open_judge: Callable[[], Judge]) -> Judge | Trouble:
    try:
        judge = open_judge()
    except IsolationError as error:
        return Trouble("isolation_unavailable", str(error))
    except ToolchainError as error:
        return Trouble("toolchain_unavailable", str(error))
    try:
        trouble = _doubts(judge)
    except IsolationError as error:
        trouble = Trouble("isolation_unavailable", str(error))
    except BaseException:
        judge.close()
        raise
    if trouble is None:
        return judge
    judge.close()
    return trouble


def _doubts(judge: Judge) -> Trouble | None:
    """Why this judge may not be used; None when known programs get their verdicts."""
    head = "int solve(int a)"
    tests = [{"args": [2], "expected": 3}]
    bodies = {"right": "return a + 1;", "wrong": "return a;", "alone": "return a + 1;"}
    jobs = [Job(n, f"{head} {{ {b} }}", head, tests, fresh=True) for n, b in bodies.items()]
    jobs[2] = Job("alone", f"#include <vector>\n{jobs[2].code}", head, tests, fresh=True)
    results = {r.id: (r.verdict, r.error) for r in judge.batch(jobs)}
    wanted = {"right": ("AC", None), "wrong": ("WA", None), "alone": ("AC", None)}
    if results == wanted:
        return None
    return Trouble("self_test_failed", f"known programs: expected {wanted}, found {results}; see the log")

"""Choosing and proving the isolation before anything untrusted runs.

Belongs here: the steps from nothing to a judge that may be trusted, or to the reason why there is none.
"""

from __future__ import annotations

import logging

from cpp_pipeline.sandbox.controller import Service
from cpp_pipeline.sandbox.isolation import IsolationError
from cpp_pipeline.sandbox.judge import Judge
from cpp_pipeline.sandbox.probes import open_probes
from cpp_pipeline.sandbox.toolchain import ToolchainError
from cpp_pipeline.sandbox.types import Job

logger = logging.getLogger(__name__)


def start_service(workers: int, token: str | None = None, bwrap: str = "bwrap") -> Service:
    """A service with a proven judge; or without one, with the reason, which every request is told."""
    try:
        judge = Judge(workers, bwrap)
    except (IsolationError, ToolchainError) as error:
        return _refused(str(error), token)
    try:
        trouble = _doubts(judge)
    except IsolationError as error:
        trouble = str(error)
    except BaseException:
        judge.close()
        raise
    if trouble:
        judge.close()
        return _refused(trouble, token)
    return Service(judge, token=token, metrics=judge.metrics)


def _refused(reason: str, token: str | None) -> Service:
    logger.error("nothing will be executed: %s", reason)
    return Service(None, reason, token)


def _doubts(judge: Judge) -> str:
    """Why this judge may not be used; empty when the box holds and known programs get their verdicts."""
    found = open_probes(judge.boxes, judge.toolchain.prepared("c++20") / "probe")
    if found:
        return f"isolation {judge.boxes.name} is refused, these probes are open: {', '.join(found)}"
    head = "int solve(int a)"
    tests = [{"args": [2], "expected": 3}]
    bodies = {"right": "return a + 1;", "wrong": "return a;", "alone": "return a + 1;"}
    jobs = [Job(n, f"{head} {{ {b} }}", head, tests) for n, b in bodies.items()]
    jobs[2] = Job("alone", f"#include <vector>\n{jobs[2].code}", head, tests)
    results = {r.id: (r.verdict, r.error) for r in judge.batch(jobs)}
    wanted = {"right": ("AC", None), "wrong": ("WA", None), "alone": ("AC", None)}
    return "" if results == wanted else f"self-test: expected {wanted}, found {results}"

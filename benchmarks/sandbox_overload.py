"""Ten times more requests than can be judged, for a minute: every one gets a verdict or a quick 429."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from benchmarks.common.controller import Controller, controller
from benchmarks.common.load import Report, job
from benchmarks.common.rows import Options, Row, percentile
from cpp_pipeline.sandbox.client import SandboxClient

_NAME = "sandbox_overload"
_OVERLOAD = 10
_QUEUE_SECONDS = 2.0
_BAR_MS = 50.0


def capacity(ours: Controller, workers: int, count: int) -> float:
    """Single requests answered a second, with as many at a time as keep all workers busy."""
    jobs = [job(-at)[0] for at in range(1, count + 1)]
    with SandboxClient(ours.url) as client, ThreadPoolExecutor(2 * workers) as pool:
        begun = time.monotonic()
        list(pool.map(client.verify, jobs))
        return count / (time.monotonic() - begun)


def overload(workers: int, seconds: float, warm_up: int) -> tuple[Report, float]:
    """What the load generator reports, and the capacity in requests a second."""
    with controller(workers, "--queue-seconds", str(_QUEUE_SECONDS)) as ours:
        capacity(ours, workers, workers)
        most = capacity(ours, workers, warm_up)
        argv = [sys.executable, "-m", "benchmarks.common.load", ours.url, str(_OVERLOAD * most), str(seconds)]
        done = subprocess.run(argv, stdout=subprocess.PIPE, check=True)
    return Report(**json.loads(done.stdout)), most


def run(options: Options) -> list[Row]:
    """Rows for the answers, the latency of a refusal, and errors that became a score."""
    seconds = options.size(60.0, 6.0)
    report, most = overload(options.workers, seconds, options.size(40, 10))
    load = f"{report.sent} requests in {seconds:g} s at {_OVERLOAD} x {most:.1f}/s"
    refusals = [1000 * spent for spent in report.refusal_seconds] or [float("inf")]
    p99 = percentile(refusals, 0.99)
    answered = report.verdicts + report.refused
    return [
        Row(
            _NAME,
            f"requests with a verdict, or 429 with Retry-After ({load})",
            f"{answered} of {report.sent}",
            bar="all",
            ok=answered == report.sent,
            notes=f"{report.verdicts} verdicts, {report.refused} x 429, {report.errors} errors in place of a verdict",
            details=report.broken[:5],
        ),
        Row(
            _NAME,
            "latency of a 429 at the client, 99th percentile, all cores busy judging",
            f"{p99:.1f} ms",
            spread=f"median {percentile(refusals, 0.5):.1f} ms, most {max(refusals):.1f} ms",
            bar=f"< {_BAR_MS:g} ms",
            ok=p99 < _BAR_MS,
            notes=f"the generator sent no request later than {1000 * report.late_by:.0f} ms after its time",
        ),
        Row(
            _NAME,
            "errors that became a score, or scores that are not the program's",
            str(len(report.false_scores)),
            bar="0",
            ok=not report.false_scores,
            details=report.false_scores[:5],
        ),
    ]

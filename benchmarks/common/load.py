"""A load generator: sends distinct jobs at a fixed rate, whatever becomes of them, and says what came back.

It is a process of its own, so that its latencies are those of a client. Nothing is sent again.

    python -m benchmarks.common.load URL REQUESTS_PER_SECOND SECONDS
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import json
import sys
import time
from typing import Any

import httpx

from cpp_pipeline.sandbox.types import Job

_HEAD = "int solve(int a)"
_TESTS = [{"args": [n], "expected": n + 1} for n in range(3)]
_EXPECTED = {"AC": 3, "WA": 0}
_TIMEOUT_SECONDS = 180.0


@dataclasses.dataclass
class Report:
    """What became of the requests.

    `false_scores` are results whose verdict or count is not that of the program, `broken` everything that is neither a
    result nor a 429 with Retry-After; latencies in seconds.
    """

    sent: int = 0
    verdicts: int = 0
    errors: int = 0
    refused: int = 0
    late_by: float = 0.0
    false_scores: list[str] = dataclasses.field(default_factory=list)
    broken: list[str] = dataclasses.field(default_factory=list)
    refusal_seconds: list[float] = dataclasses.field(default_factory=list)


def job(number: int) -> tuple[Job, str]:
    """A program that no other number has, and its verdict."""
    verdict = "AC" if number % 2 else "WA"
    # nothing that could be judged together with others or without a compiler
    body = f"static volatile int salt = {number}; (void)salt; return a + {1 if number % 2 else 0};"
    return Job(str(number), f"{_HEAD} {{ {body} }}", _HEAD, _TESTS), verdict


async def offer(url: str, rate: float, seconds: float) -> Report:
    """Send `rate` requests a second for `seconds`, then wait for the answers."""
    report = Report()
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=200)
    async with httpx.AsyncClient(base_url=url, timeout=_TIMEOUT_SECONDS, limits=limits, trust_env=False) as client:
        begun = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in itertools.count():
                due = begun + number / rate
                if due >= begun + seconds:
                    break
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                report.late_by = max(report.late_by, time.perf_counter() - due)
                report.sent += 1
                group.create_task(_one(client, number, report))
    return report


async def _one(client: httpx.AsyncClient, number: int, report: Report) -> None:
    asked, expected = job(number)
    begun = time.perf_counter()
    try:
        response = await client.post("/execute", json=dataclasses.asdict(asked))
    except httpx.HTTPError as error:
        report.broken.append(f"{number}: {type(error).__name__}: {error}")
        return
    spent = time.perf_counter() - begun
    if response.status_code == 200:
        _result(response.json(), expected, report)
    elif response.status_code == 429 and response.headers.get("retry-after", "").isdecimal():
        report.refused += 1
        report.refusal_seconds.append(spent)
    else:
        report.broken.append(f"{number}: HTTP {response.status_code}: {response.text[:200]}")


def _result(result: dict[str, Any], expected: str, report: Report) -> None:
    found = (result["verdict"], result["tests_passed"])
    if result["error"] is not None:
        report.errors += 1
        wanted: tuple[Any, Any] = (None, None)
    else:
        report.verdicts += 1
        wanted = (expected, _EXPECTED[expected])
    if found != wanted:
        report.false_scores.append(f"{result['id']}: {found}, not {wanted}; {result['error']}")


if __name__ == "__main__":
    json.dump(dataclasses.asdict(asyncio.run(offer(sys.argv[1], float(sys.argv[2]), float(sys.argv[3])))), sys.stdout)

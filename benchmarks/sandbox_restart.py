"""A controller that is killed and started again while a batch is under way: same verdicts, none lost, none twice."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from benchmarks.common.controller import Controller, controller
from benchmarks.common.rows import Options, Row
from cpp_pipeline.sandbox.client import SandboxClient
from cpp_pipeline.sandbox.types import Job, Result

_NAME = "sandbox_restart"
_HEAD = "int solve(int a)"
_TESTS = [{"args": [n], "expected": n + 1} for n in range(3)]
_BODIES = ("return a + 1;", "return a;", "return a == 1 ? 2 : 0;", "return undeclared;", "abort(); return 0;")
_HEADERS = "#include <cstdlib>\n"


@dataclass(frozen=True)
class Outcome:
    """Verdicts by id of an undisturbed and of a disturbed run; how often each id was told; results before the kill."""

    undisturbed: dict[str, tuple[str | None, int | None]]
    disturbed: dict[str, tuple[str | None, int | None]]
    told: Counter[str]
    before: int


def jobs(count: int) -> list[Job]:
    """Distinct programs of several verdicts; each is compiled alone, so that results come one by one."""
    return [
        Job(
            str(at),
            f"{_HEADERS}{_HEAD} {{ static int salt = {at}; (void)salt; {_BODIES[at % len(_BODIES)]} }}",
            _HEAD,
            _TESTS,
        )
        for at in range(count)
    ]


def interrupted(workers: int, count: int, kill_after: int) -> Outcome:
    """Judge a batch twice; the second time the controller is killed after some results and started on the same port."""
    work = jobs(count)
    with controller(workers) as ours, SandboxClient(ours.url) as client:
        undisturbed = client.batch_verify(work)
    told: Counter[str] = Counter()
    enough = threading.Event()

    def tell(result: Result) -> None:
        told[result.id] += 1
        if told.total() >= kill_after:
            enough.set()

    running = Controller(workers)
    try:
        with SandboxClient(running.url) as client, ThreadPoolExecutor(1) as pool:
            future = pool.submit(client.batch_verify, work, tell)
            future.add_done_callback(lambda _: enough.set())
            enough.wait()
            before = told.total()
            running.kill()
            running = Controller(workers, port=running.port)
            disturbed = future.result()
    finally:
        running.stop()
    return Outcome(_verdicts(undisturbed), _verdicts(disturbed), told, before)


def _verdicts(results: list[Result]) -> dict[str, tuple[str | None, int | None]]:
    return {result.id: (result.verdict, result.tests_passed) for result in results}


def run(options: Options) -> list[Row]:
    """One row."""
    count = options.size(120, 24)
    found = interrupted(options.workers, count, count // 4)
    wrong = [
        f"{name}: {found.disturbed.get(name)}, not {verdict}"
        for name, verdict in found.undisturbed.items()
        if found.disturbed.get(name) != verdict
    ]
    lost = [name for name in found.undisturbed if found.told[name] == 0]
    twice = [name for name, times in found.told.items() if times > 1]
    return [
        Row(
            _NAME,
            f"batch of {count}, controller killed after {found.before} results and started on the same port",
            f"{len(wrong)} verdicts differ, {len(lost)} lost, {len(twice)} twice",
            bar="0, 0, 0",
            ok=not wrong and not lost and not twice and found.before < count,
            notes=f"verdicts: {dict(Counter(str(verdict) for verdict, _ in found.disturbed.values()))}",
            details=wrong[:5],
        )
    ]

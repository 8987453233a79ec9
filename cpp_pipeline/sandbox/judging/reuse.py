"""What need not be judged again: verdicts of earlier runs, and cases that are being judged at this moment.

Belongs here: what may be kept, and who waits for whom. Not here: how verdicts are stored (`cache`).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import asdict

from cpp_pipeline.sandbox.judging.cache import VerdictCache
from cpp_pipeline.sandbox.judging.cases import Case, Outcome
from cpp_pipeline.sandbox.types import TestResult

_MACHINE_DEPENDENT = {"TLE", "MLE", "CLE"}
"""Verdicts that another moment or machine may not give: never kept."""


class Abandoned(Exception):
    """The batch that was judging a case has ended without its outcome."""


class Known:
    """Outcomes of earlier runs."""

    def __init__(self, cache: VerdictCache) -> None:
        self._cache = cache

    def close(self) -> None:
        """Close the store."""
        self._cache.close()

    def find(self, cases: Sequence[Case]) -> dict[str, Outcome]:
        """Outcomes by key; only those that are there."""
        found = self._cache.get_many([c.key for c in cases]) if cases else {}
        return {key: _outcome(text) for key, text in found.items()}

    def keep(self, outcomes: Iterable[tuple[str, Outcome]]) -> None:
        """Store what will be the same the next time; errors of our own and limits of the machine never are."""
        rows = {key: json.dumps(asdict(outcome)).encode() for key, outcome in outcomes if _lasting(outcome)}
        if rows:
            self._cache.put_many(rows)


class Flights:
    """Cases that are being judged, so that a second batch waits instead of compiling; safe for several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._landing: dict[str, Future[list[Outcome]]] = {}

    def begin(self, key: str) -> Future[list[Outcome]] | None:
        """None when the caller is the one to judge `key`; else the outcome to come, or `Abandoned`."""
        with self._lock:
            if key in self._landing:
                return self._landing[key]
            future: Future[list[Outcome]] = Future()
            future.set_running_or_notify_cancel()  # those who wait must not be able to cancel it
            self._landing[key] = future
            return None

    def land(self, key: str, outcome: Outcome) -> None:
        """Tell those who wait; does nothing for a key that is not in flight."""
        with self._lock:
            future = self._landing.pop(key, None)
        if future is not None:
            future.set_result([outcome])

    def abandon(self, keys: Iterable[str]) -> None:
        """Tell those who wait for one of `keys` to judge it themselves."""
        with self._lock:
            futures = [self._landing.pop(key) for key in keys if key in self._landing]
        for future in futures:
            future.set_exception(Abandoned())


def _lasting(outcome: Outcome) -> bool:
    verdicts = {outcome.verdict, *(test.verdict for test in outcome.tests)}
    return outcome.error is None and not verdicts & _MACHINE_DEPENDENT


def _outcome(text: bytes) -> Outcome:
    values = json.loads(text)
    values["tests"] = tuple(TestResult(**test) for test in values["tests"])
    values["findings"], values["tamper"] = tuple(values["findings"]), tuple(values["tamper"])
    return Outcome(**values)

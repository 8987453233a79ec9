"""When a request is sent again, how long that goes on, and when asking stops.

Belongs here: `SandboxUnavailable`, budgets and pauses of one call, the circuit breaker. Not here: HTTP requests and
what their bodies mean (`async_client`).
"""

from __future__ import annotations

import asyncio
import email.utils
import logging
import random
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

logger = logging.getLogger(__name__)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
_START = "start one with `cpp-pipeline sandbox serve`, or correct SANDBOX_URL"
_REMEDY = {
    401: "set SANDBOX_TOKEN to the controller's token",
    413: "send less code and fewer tests in one job",
    422: "correct the job",
    429: "send fewer jobs at a time, wait longer (queue_timeout_seconds), or give the controller more workers",
}


class SandboxUnavailable(Exception):
    """No verdict can be had; the message says why and what to do.

    Parameters
    ----------
    final : bool
        The same request would be refused again: bad token, bad job, nothing isolates.
    alive : bool
        The controller itself answered and is well; such trouble never opens the circuit breaker.
    """

    def __init__(self, message: str, *, final: bool = False, alive: bool = False) -> None:
        super().__init__(message)
        self.final, self.alive = final, alive


class Refusal(Exception):
    """An answer other than 200."""

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        remedy = f" ({_REMEDY[self.status]})" if self.status in _REMEDY else ""
        super().__init__(f"HTTP {self.status} from {response.request.url}: {response.text[:500]}{remedy}")
        self.retry_after = _seconds(response.headers.get("retry-after", ""))
        self.final = self.status not in (429, 502, 503) or _says_final(response)


class Passing(Exception):
    """An answer with trouble that another attempt may not meet; the controller is well."""


@dataclass(frozen=True)
class Budget:
    """How long one call goes on, see `AsyncSandboxClient`."""

    retries: int
    queue_seconds: float
    outage_seconds: float


class Health:
    """What is known of one controller: the circuit breaker, and since when it has been away."""

    def __init__(self, url: str, failures: int, seconds: float) -> None:
        self.url, self._limit, self._seconds = url, failures, seconds
        self.met = False
        self._away_since: float | None = None
        self._failures, self._last = 0, ""
        self._open_until = 0.0
        self._probing = False

    @contextmanager
    def call(self) -> Iterator[None]:
        """Around every call; raises SandboxUnavailable at once while the breaker is open.

        After its time one call is let through: if that fails too, the breaker stays open for the same time again.
        """
        broken = self._failures >= self._limit
        left = self._open_until - time.monotonic()
        if broken and (left > 0 or self._probing):
            when = f"it is asked again in {left:.1f} s" if left > 0 else "one call is trying it now"
            raise SandboxUnavailable(f"not asked, since {self._failures} calls in a row failed ({self._last}); {when}")
        self._probing = broken
        try:
            yield
        except SandboxUnavailable as trouble:
            if not trouble.alive:
                self._failures, self._last = self._failures + 1, str(trouble)
                self._open_until = time.monotonic() + self._seconds
            raise
        finally:
            if broken:
                self._probing = False

    def answered(self, status: int) -> None:
        """Something answered; below 500 that closes the breaker. 502 is a gateway that looks for the controller."""
        self.met = True
        if status != 502:
            self._away_since = None
        if status < 500:
            self._failures, self._probing = 0, False

    def away(self) -> float:
        """Seconds since it was first found unreachable."""
        now = time.monotonic()
        if self._away_since is None:
            self._away_since = now
        return now - self._away_since


class Attempts:
    """The attempts of one call and what they have used up."""

    def __init__(self, budget: Budget, health: Health) -> None:
        self._budget, self._health = budget, health
        self._tries = 0
        self._refusals = 0
        self._queued = 0.0
        self._said = ""

    @property
    def spent(self) -> bool:
        """True when no further attempt follows an error that may pass."""
        return self._tries >= self._budget.retries

    def progressed(self) -> None:
        """Results came before the connection broke: the attempts count anew."""
        self._tries = 0

    async def pause(self, trouble: Exception) -> None:
        """Sleep before the next attempt; raises SandboxUnavailable when there is none."""
        seconds = self.next_pause(trouble)
        text = f"{type(trouble).__name__}: {trouble}"
        logger.log(logging.DEBUG if text == self._said else logging.WARNING, "%s; asking again", text)
        self._said = text
        await asyncio.sleep(seconds)

    def next_pause(self, trouble: Exception) -> float:
        """Seconds until the next attempt.

        A controller that refuses for now is waited for up to `queue_seconds` in total; one that answered before and
        cannot be reached now is being restarted, and is waited for up to `outage_seconds`. Everything else counts
        against `retries`.
        """
        if isinstance(trouble, Refusal):
            if trouble.final:
                raise SandboxUnavailable(str(trouble), final=True, alive=trouble.status < 500) from trouble
            if trouble.status != 502:
                return self._queue(trouble)
        unreachable = isinstance(trouble, (httpx.ConnectError, httpx.ConnectTimeout, Refusal))
        waits = unreachable and self._health.met and self._budget.retries > 0
        if waits and self._health.away() < self._budget.outage_seconds:
            return _LONGEST_PAUSE / 10 * random.uniform(0.5, 1.5)
        if self.spent or waits:
            text = f"{self._health.url}: {type(trouble).__name__}: {trouble}"
            raise SandboxUnavailable(
                f"{text}; {_START}" if unreachable else text, alive=isinstance(trouble, Passing)
            ) from trouble
        self._tries += 1
        return _backoff(self._tries - 1) * random.uniform(0.5, 1.5)

    def _queue(self, refusal: Refusal) -> float:
        wished = refusal.retry_after
        seconds = _backoff(self._refusals) if wished is None else max(wished, _FIRST_PAUSE)
        seconds *= random.uniform(1.0, 1.25)  # never sooner than asked, and not all clients at the same moment
        self._refusals += 1
        self._queued += seconds
        if self._queued > self._budget.queue_seconds:
            text = f"{refusal}; waited out for {self._queued - seconds:.1f} of {self._budget.queue_seconds:g} s"
            raise SandboxUnavailable(text, alive=refusal.status == 429) from refusal
        return seconds


def _backoff(attempt: int) -> float:
    return float(min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(attempt, 16)))


def _seconds(retry_after: str) -> float | None:
    """Value of a Retry-After header, which is a number of seconds or a date."""
    if re.fullmatch(r"\d{1,9}(\.\d*)?", retry_after):
        return float(retry_after)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time())
    except ValueError:
        return None


def _says_final(response: httpx.Response) -> bool:
    """True for refusals that say themselves that a retry is useless."""
    try:
        return response.json()["error"]["retryable"] is False
    except (ValueError, KeyError, TypeError):
        return False

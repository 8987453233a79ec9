"""What a person or the orchestrator sees of a run: a line every few seconds.

Belongs here: stderr and Dagster Pipes. Does not belong here: files (`state`), decisions (`common`).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from dagster_pipes import PipesContext, PipesEnvVarParamsLoader, open_dagster_pipes

EVERY_SECONDS = 5.0


class Progress:
    """Rate, remaining time and the newest metrics, to stderr and to Pipes where a session exists."""

    def __init__(self, stage: str, total_steps: int, done_steps: int, tokens: int) -> None:
        self.stage = stage
        self.total_steps = total_steps
        self._first = (done_steps, tokens)
        self._started = time.monotonic()
        self._reported = self._started
        self._pipes: PipesContext | None = None
        self._opened = False

    def open(self) -> None:
        """Join the Pipes session that this process was started in, if any and not yet ended.

        A session that the caller opened is used and left open.
        """
        loader = PipesEnvVarParamsLoader()  # type: ignore[no-untyped-call]
        if loader.is_dagster_pipes_process():
            self._opened = not PipesContext.is_initialized()
            session = open_dagster_pipes()
            self._pipes = None if session.is_closed else session
        self._started = time.monotonic()

    def close(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the Pipes session; an error is passed on to it."""
        if self._pipes is not None and self._opened:
            self._pipes.__exit__(kind, error, trace)

    def report(self, done_steps: int, tokens: int, metrics: Mapping[str, float]) -> None:
        """Print when the last line is old enough, or the run is complete."""
        now = time.monotonic()
        if done_steps < self.total_steps and now - self._reported < EVERY_SECONDS:
            return
        self._reported = now
        seconds = max(now - self._started, 1e-9)
        steps = done_steps - self._first[0]
        eta = seconds / max(steps, 1) * (self.total_steps - done_steps)
        values = " ".join(f"{k} {v:.4g}" for k, v in metrics.items())
        rate = _short((tokens - self._first[1]) / seconds)
        self.say(f"step {done_steps}/{self.total_steps} {values} tok/s {rate} eta {eta:.0f}s")

    def finished(self, result: Mapping[str, Any]) -> None:
        """The last line of a run."""
        self.say(f"finished: {result['steps']} steps, {result['cpu_seconds']:.0f} CPU s, {result['metrics']}")

    def say(self, text: str) -> None:
        """One line for people, and a log event where Dagster listens."""
        print(f"{self.stage}: {text}", file=sys.stderr, flush=True)
        if self._pipes is not None:
            self._pipes.log.info(text)


def _short(value: float) -> str:
    return f"{value / 1000:.1f}k" if value >= 1000 else f"{value:.0f}"

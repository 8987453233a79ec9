"""What the agent did: every step, and the outcome.

Belongs here: plain records and their JSON form. Does not belong here: the doing (`orchestrator`, `loops`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

StepState = Literal["route", "act", "verify", "refine", "error", "done"]


@dataclass(frozen=True)
class Limits:
    """How far the agent goes, and how much of other programs' output enters a prompt."""

    max_iterations: int = 5
    code_chars: int = 1500
    message_chars: int = 500
    min_confidence: float = 0.3
    """below it, the user is asked instead of a tool being run"""


@dataclass(frozen=True)
class Step:
    """One step: its state, the iteration it belongs to (0 outside the loop), what happened, details."""

    state: StepState
    iteration: int
    summary: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Attempt:
    """A candidate and what the sandbox said of it.

    `ok`: nothing is left to improve. `rank`: the better of two attempts has the greater one. `detail`: the first
    thing that is wrong, for the next prompt. `error`: it could not be judged, and the rest means nothing.
    """

    text: str
    verdict: str | None = None
    ok: bool = False
    rank: tuple[int, ...] = ()
    tests_passed: int | None = None
    tests_total: int = 0
    detail: str = ""
    targets: tuple[str, ...] = ()
    error: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What a tool brought.

    `success`: verified as right (True), as wrong (False), or could not be verified (None).
    """

    success: bool | None
    sentence: str
    answer: str = ""
    iterations: int = 0
    verdict: str | None = None
    tests_passed: int | None = None
    tests_total: int = 0
    targets: tuple[str, ...] = ()
    findings: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Trace:
    """One request from start to end: what was decided, what came of it, and every step."""

    request: str
    tool: str
    confidence: float
    arguments: Mapping[str, Any]
    outcome: Outcome
    steps: tuple[Step, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries and lists."""
        return asdict(self)


def shorten(text: str, limit: int) -> str:
    """At most `limit` characters, with a note of how much was left out."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}\n[{len(text) - limit} characters left out]"


def quoted(text: str, limit: int) -> str:
    """Output of a program as data: shortened, in a fence that it cannot close."""
    return f"```text\n{shorten(text, limit).replace('```', chr(39) * 3)}\n```"

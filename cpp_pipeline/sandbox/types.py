"""What goes into the sandbox and what comes out of it.

Belongs here: the frozen records that cross the border of the room, and their JSON form.
Does not belong here: how a verdict is found (`judge`), or sent (`client`, `controller`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Verdict = Literal["AC", "PA", "WA", "RE", "TLE", "MLE", "OLE", "CE", "CLE"]
Json = Any
STANDARDS = ("c++17", "c++20", "c++23")
ANALYSES = ("bugs", "performance", "style")


@dataclass(frozen=True)
class Job:
    """One candidate function and the tests that it has to pass.

    `tests` are `{"args": [...], "expected": value}` in the JSON form of the signature's types;
    `timeout_seconds` is the CPU time of all tests together, and one call may take a tenth of it.
    """

    id: str
    code: str
    signature: str
    tests: list[dict[str, Json]]
    preamble: str = ""
    std: str = "c++20"
    timeout_seconds: float = 5.0


@dataclass(frozen=True)
class TestResult:
    """Verdict of one test; `actual` is the value that came back, None where none did."""

    __test__ = False  # not a test class, in spite of its name
    index: int
    verdict: str
    actual: Json = None


@dataclass(frozen=True)
class Result:
    """Verdict of a job, or `error` when the trouble was ours: then there is no verdict and no count."""

    id: str
    verdict: str | None
    compile_ok: bool | None
    tests_passed: int | None
    tests_total: int
    tests: list[TestResult] = field(default_factory=list)
    stdout: str = ""
    stderr: str = ""
    error: str | None = None
    isolation: str = "none"
    harness: dict[str, Json] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Result:
        """Inverse of `to_json`; raises TypeError on missing or unknown fields."""
        values = dict(data)
        values["tests"] = [TestResult(**t) for t in values.get("tests", [])]
        return cls(**values)

    def to_json(self) -> dict[str, Json]:
        """Plain dictionaries and lists, ready for `json.dumps`."""
        return asdict(self)


@dataclass(frozen=True)
class CMakeJob:
    """A CMakeLists.txt, the files beside it, and the packages that it may find."""

    id: str
    cmake: str
    files: list[dict[str, str]]
    packages: list[dict[str, str]] = field(default_factory=list)
    build: bool = False


@dataclass(frozen=True)
class CMakeResult:
    """How far a CMakeLists.txt came. `stage` is the furthest stage reached: lint, configure or build."""

    id: str
    stage: str
    lint_ok: bool | None
    configure_ok: bool | None
    build_ok: bool | None
    targets: list[str] = field(default_factory=list)
    message: str = ""
    error: str | None = None


@dataclass(frozen=True)
class Finding:
    """One remark of the analyser about one line (from 1) of the code."""

    line: int
    kind: str
    message: str


def reward(result: Result) -> float | None:
    """Share of tests passed, 0 to 1; None when the result is an error and must be masked."""
    if result.error is not None or result.tests_passed is None or result.tests_total == 0:
        return None
    return result.tests_passed / result.tests_total

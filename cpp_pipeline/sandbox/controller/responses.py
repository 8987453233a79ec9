"""What the controller answers, described for OpenAPI.

Belongs here: fields of responses and their meaning. Not here: how they are found (`types` has the records themselves).
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

VerdictName = Literal["AC", "PA", "WA", "RE", "TLE", "MLE", "OLE", "CE", "CLE"]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid")


class TestRecord(_Record):
    """Verdict of one test."""

    __test__: ClassVar = False  # not a test class, in spite of its name
    index: int = Field(description="Position of the test, from 0")
    verdict: VerdictName = Field(description="AC when it passed")
    actual: Any = Field(description="The value that came back; null where none did")
    line: int | None = Field(description="Line of the assert in test_code, from 1")
    check: str = Field(description="Text of the assert")
    cpu_ms: float | None = Field(description="CPU milliseconds of the test")


class ResultRecord(_Record):
    """Verdict of a job; or `error`, when the trouble was not the candidate's: then there is no verdict and no count."""

    id: str = Field(description="The job's id")
    verdict: VerdictName | None = Field(description="AC only when all tests passed; null with an error")
    compile_ok: bool | None = Field(description="The candidate compiled")
    tests_passed: int | None = Field(description="Tests that passed")
    tests_total: int = Field(description="Tests of the job")
    run_ok: bool | None = Field(description="Nothing crashed or ran into a limit; says nothing about tests")
    tests: list[TestRecord] = Field(description="One record a test")
    stdout: str = Field(description="What the candidate printed, cut")
    stderr: str = Field(description="Messages of the compiler or of the candidate, cut")
    error: str | None = Field(
        description="<kind>: <text>; kinds: harness_compile_failed (the tests are at fault), queue_timeout, "
        "pool_exhausted, worker_lost, isolation_unavailable, internal"
    )
    isolation: dict[str, Any] = Field(description="backend and level")
    harness: dict[str, Any] = Field(description="mode, and forgeable: whether the candidate can feign a pass in it")
    compile: dict[str, Any] = Field(description="cpu_ms, pch_hit, cached and others")
    run: dict[str, Any] = Field(description="cpu_ms, instructions and others")
    cache: dict[str, Any] = Field(description="hit and key")
    findings: list[str] = Field(description="Reports of the sanitizers")
    tamper: list[str] = Field(description="Signs that the candidate acted against the protocol")


class CMakeRecord(_Record):
    """How far a CMakeLists.txt came."""

    id: str = Field(description="The job's id")
    stage: Literal["lint", "configure", "build"] = Field(description="Furthest stage reached")
    lint_ok: bool | None = Field(description="No banned commands, and it parses")
    configure_ok: bool | None = Field(description="cmake configured it")
    build_ok: bool | None = Field(description="It built; null when that was not asked for")
    targets: list[str] = Field(description="Targets that it defines")
    message: str = Field(description="First trouble, cut")
    error: str | None = Field(description="<kind>: <text>, when the trouble was not the file's")


class FindingRecord(_Record):
    """One remark about one line."""

    line: int = Field(description="From 1")
    kind: str = Field(description="Name of the check")
    message: str = Field(description="What was found")


class FindingsRecord(_Record):
    """All remarks."""

    findings: list[FindingRecord] = Field(description="In the order of lines")


class ErrorFields(_Record):
    """Why a request was refused."""

    kind: str = Field(description="For programs, such as queue_full")
    message: str = Field(description="For people: what was found, and what to do")
    retryable: bool = Field(description="Whether the same request may succeed later")


class ErrorRecord(_Record):
    """Body of every response that is not 200."""

    error: ErrorFields


class Healthy(_Record):
    """The process answers."""

    ok: Literal[True] = Field(description="Always")


class Ready(_Record):
    """Work is accepted."""

    ready: Literal[True] = Field(description="Always; otherwise the status is 503")

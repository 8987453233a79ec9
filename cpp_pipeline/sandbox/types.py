"""What goes into the sandbox and what comes out of it.

Belongs here: the frozen records that cross the border of the room, and their JSON form.
Does not belong here: how a verdict is found (`judge`), or sent (`client`, `controller`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Verdict = Literal["AC", "PA", "WA", "RE", "TLE", "MLE", "OLE", "CE", "CLE"]
Harness = Literal["auto", "rpc", "stdio", "inproc", "exit_code"]
Json = Any
HARNESSES = ("auto", "rpc", "stdio", "inproc", "exit_code")
FORGEABLE = ("inproc", "exit_code")
"""Harnesses that a candidate shares a process with: it can feign a pass there, and no reward is made from them."""
STANDARDS = ("c++17", "c++20", "c++23")
COMPILERS = ("g++", "clang++")
OPTIMISATIONS = ("-O0", "-O1", "-O2")
ANALYSES = ("bugs", "performance", "style")


@dataclass(frozen=True)
class Caps:
    """Most that compiling and running one job may take; memory in MB (2**20 bytes), output in KB.

    `call_seconds` is the CPU time of one call (a tenth of the job's `timeout` when it is None); `memory_mb` and
    `processes` hold for all processes of a run together where a cgroup can be had, else for each.
    """

    call_seconds: float | None = None
    memory_mb: int = 512
    output_kb: int = 256
    processes: int = 48
    file_mb: int = 4
    compile_cpu_seconds: int = 15
    compile_wall_seconds: int = 40
    compile_memory_mb: int = 2048


@dataclass(frozen=True)
class Job:
    """One candidate and the tests that it has to pass: either `test_cases` or `test_code`.

    Parameters
    ----------
    code : str
        The candidate: a function for `rpc`, a whole program for `stdio`, what `test_code` needs for `inproc`.
    prototype : str
        The function under test, such as `int add(int a, int b)`; for `test_code` it is found in `code` when empty.
    test_cases : list of dict
        All of one form: `{"args": [...], "expected": value}` in the JSON form of the prototype's types, with
        `"after": [...]` for the values of reference parameters after the call (None: not compared); or
        `{"stdin": text, "expected": text, "compare": "exact" | "tokens" | "float"}`;
        or `{"assert": "add(1, 2) == 3"}`.
    preamble : str
        What stands before the candidate and may be used by it and by the tests: includes, helpers, structs.
    test_code : str
        C++ with asserts in `main`, as in HumanEval-X and MultiPL-E.
    timeout : float
        Seconds of CPU time of all tests together; one call may take `caps.call_seconds`.
    harness : str
        "auto" takes `rpc` or `stdio` by the form of the tests, and `inproc` where `rpc` cannot carry the types.
    sanitize : bool
        Compile with ASan and UBSan; what they report is an RE.
    count_instructions : bool
        Count the instructions of the calls under callgrind, see `Result.run`.
    fresh : bool
        Judge anew, whatever was judged before.
    """

    id: str
    code: str
    prototype: str = ""
    test_cases: list[dict[str, Json]] = field(default_factory=list)
    preamble: str = ""
    test_code: str = ""
    std: str = "c++20"
    timeout: float = 5.0
    harness: str = "auto"
    opt: str = "-O0"
    compiler: str = "g++"
    caps: Caps = field(default_factory=Caps)
    sanitize: bool = False
    count_instructions: bool = False
    fresh: bool = False

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Job:
        """Inverse of `dataclasses.asdict`; raises TypeError on missing or unknown fields."""
        values = dict(data)
        if "caps" in values:
            values["caps"] = Caps(**values["caps"])
        return cls(**values)


@dataclass(frozen=True)
class TestResult:
    """Verdict of one test.

    `actual` is the value that came back (None where none did), `line` the line of the assert in `test_code` (from 1)
    and `check` its text; `cpu_ms` is not part of the comparison of two results, since time is not exact.
    """

    __test__ = False  # not a test class, in spite of its name
    index: int
    verdict: str
    actual: Json = None
    line: int | None = None
    check: str = ""
    cpu_ms: float | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Result:
    """Verdict of a job, or `error` when the trouble was ours: then there is no verdict and no count.

    `error` is `<kind>: <text>` with one of the kinds in `ERRORS`. `run_ok` says that nothing crashed, ran out of a
    limit or failed to compile; it does not say that a test passed. `isolation` is `{backend, level}`, `harness`
    `{mode, forgeable, ...}`, `compile` `{cpu_ms, pch_hit, cached, ...}`, `run` `{cpu_ms, instructions, ...}`,
    `cache` `{hit, key}`; `findings` are the sanitizers' reports, `tamper` signs that the candidate tried to forge.
    """

    id: str
    verdict: str | None
    compile_ok: bool | None
    tests_passed: int | None
    tests_total: int
    run_ok: bool | None = None
    tests: list[TestResult] = field(default_factory=list)
    stdout: str = ""
    stderr: str = ""
    error: str | None = None
    isolation: dict[str, Json] = field(default_factory=dict)
    harness: dict[str, Json] = field(default_factory=dict)
    compile: dict[str, Json] = field(default_factory=dict)
    run: dict[str, Json] = field(default_factory=dict)
    cache: dict[str, Json] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)
    tamper: list[str] = field(default_factory=list)

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Result:
        """Inverse of `to_json`; raises TypeError on missing or unknown fields."""
        values = dict(data)
        values["tests"] = [TestResult(**t) for t in values.get("tests", [])]
        return cls(**values)

    def to_json(self) -> dict[str, Json]:
        """Plain dictionaries and lists, ready for `json.dumps`."""
        return asdict(self)


ERRORS = {
    "harness_compile_failed": "the tests, the preamble or the prototype cannot be used: the data set's fault",
    "queue_timeout": "the deadline of the request passed before the job was judged",
    "pool_exhausted": "no sandbox could be leased",
    "worker_lost": "the machine lost the work; another attempt may succeed",
    "isolation_unavailable": "nothing on this machine isolates; nothing was executed",
    "internal": "a fault of the sandbox itself",
}
"""Kinds of trouble that are no verdict, and what they mean."""


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


def reward(result: Result, forgeable: bool = False) -> float | None:
    """Share of tests passed, 0 to 1; None when the result is an error and must be masked.

    None as well, unless `forgeable` is set, where the candidate could have feigned a pass (`FORGEABLE`).
    """
    if result.error is not None or result.tests_passed is None or result.tests_total == 0:
        return None
    if result.harness.get("forgeable") and not forgeable:
        return None
    return result.tests_passed / result.tests_total

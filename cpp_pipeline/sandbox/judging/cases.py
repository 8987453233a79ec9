"""Jobs made ready to be judged: which harness judges them, what identifies them, and what judging gave.

Belongs here: the choice of a harness, and every fault of a job that can be seen before anything is compiled.
Not here: compiling and running (`workbench`, `modes`), and what a verdict is (`verdicts`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from cpp_pipeline.sandbox.compiling.toolchain import Build, Toolchain
from cpp_pipeline.sandbox.cpp.lexer import key, normalised
from cpp_pipeline.sandbox.cpp.plain import is_plain, plain_preamble
from cpp_pipeline.sandbox.cpp.prelude import completed, split_prelude
from cpp_pipeline.sandbox.cpp.prototype import Prototype, parse_prototype
from cpp_pipeline.sandbox.formats import assert_sites, asserts_as_code, entry_prototype, straight_sites
from cpp_pipeline.sandbox.isolation import Backend
from cpp_pipeline.sandbox.judging import values
from cpp_pipeline.sandbox.metrics import Metrics
from cpp_pipeline.sandbox.types import COMPILERS, HARNESSES, OPTIMISATIONS, STANDARDS, Job, TestResult

CALL_SHARE = 0.1
"""One call may take this share of the job's CPU time, and never less than `CALL_FLOOR_SECONDS`."""
CALL_FLOOR_SECONDS = 0.02
COMPARISONS = ("exact", "tokens", "float")
_FORMS = {"args": "rpc", "stdin": "stdio", "assert": "assert"}


@dataclass(frozen=True)
class Tools:
    """What a mode works with."""

    boxes: Backend
    toolchain: Toolchain
    metrics: Metrics


@dataclass(frozen=True)
class Case:
    """A job made ready. `total` counts its tests, `mode` is the harness, `key` is equal for jobs of one verdict."""

    job: Job
    mode: str
    key: str
    total: int

    @property
    def build(self) -> Build:
        """How the candidate is compiled."""
        return Build(self.job.std, self.job.opt, self.job.compiler, self.job.sanitize)

    @property
    def call_seconds(self) -> float:
        """CPU seconds of one call, or of one run of a program."""
        if self.job.caps.call_seconds is not None:
            return self.job.caps.call_seconds
        return max(CALL_FLOOR_SECONDS, CALL_SHARE * self.job.timeout)


@dataclass(frozen=True)
class RpcCase(Case):
    """A function called over the pipe; `plain` ones may share a unit.

    `before` is what the candidate's unit begins with: the preamble, and what was split off a plain candidate.
    Tests are either encoded `calls` with their `expected` values (and `after`, the expected values of reference
    parameters, None where not compared), or `job.test_code`, which calls the function itself.
    """

    prototype: Prototype
    plain: bool
    code: str
    before: str
    calls: tuple[bytes, ...] = ()
    expected: tuple[Any, ...] = ()
    after: tuple[tuple[Any, ...] | None, ...] = ()
    sites: tuple[tuple[int, str], ...] = ()
    """(line, text) of each assert of `test_code`."""
    straight: tuple[bool, ...] = ()
    """Whether an assert runs once at most, so that its pass counts although the tests did not come to their end."""

    @property
    def unit(self) -> tuple[object, ...]:
        """Equal for plain cases that may be compiled and run together."""
        job = self.job
        called = self.prototype.text if self.sites else ""  # one program of tests calls one prototype
        return (self.before, job.preamble, self.build, job.timeout, job.caps, job.test_code, called)


@dataclass(frozen=True)
class Outcome:
    """What judging one case gave, before it is addressed to the jobs that asked for it."""

    verdict: str | None
    compile_ok: bool | None = None
    tests: tuple[TestResult, ...] = ()
    stdout: str = ""
    stderr: str = ""
    error: str | None = None
    harness: Mapping[str, Any] = field(default_factory=dict)
    compile: Mapping[str, Any] = field(default_factory=dict)
    run: Mapping[str, Any] = field(default_factory=dict)
    findings: tuple[str, ...] = ()
    tamper: tuple[str, ...] = ()


class CandidateFault(ValueError):
    """The candidate has no function that its tests could call; a CE, and no fault of the job."""


def prepare(job: Job) -> Case:
    """Choose the harness and make the job ready for it.

    Raises
    ------
    CandidateFault
        Without a prototype, harness rpc finds no function to call in the candidate.
    ValueError
        The job itself is unusable: no tests, a prototype with unsupported types, a test that does not fit it.
    """
    for name, allowed in (("std", STANDARDS), ("opt", OPTIMISATIONS), ("compiler", COMPILERS), ("harness", HARNESSES)):
        if getattr(job, name) not in allowed:
            raise ValueError(f"{name} {getattr(job, name)!r}: use one of {', '.join(allowed)}")
    form = _form(job)
    if form == "assert":
        job = replace(job, test_code=asserts_as_code([t["assert"] for t in job.test_cases]), test_cases=[])
        form = "code"
    if form == "stdio":
        _require(job, "stdio")
        return _stdio(job)
    if form == "rpc":
        _require(job, "rpc")
        return _calls(job)
    if job.harness == "stdio":
        raise ValueError("harness stdio needs test_cases of the form {stdin, expected}")
    if job.harness in ("inproc", "exit_code"):
        return _in_process(job, job.harness)
    try:
        return _code(job)
    except ValueError:
        if job.harness == "rpc":
            raise
        return _in_process(job, "inproc")


def _form(job: Job) -> str:
    if bool(job.test_cases) == bool(job.test_code):
        raise ValueError("give test_cases or test_code, not both" if job.test_code else f"job {job.id!r} has no tests")
    if job.test_code:
        return "code"
    forms = {next((f for name, f in _FORMS.items() if name in t), "") for t in job.test_cases}
    if len(forms) != 1 or "" in forms:
        raise ValueError("test_cases: all of them need args and expected, or stdin and expected, or assert")
    return forms.pop()


def _require(job: Job, harness: str) -> None:
    if job.harness not in ("auto", harness):
        raise ValueError(f"harness {job.harness} cannot judge these test_cases; {harness} can")


def _key(job: Job, mode: str) -> str:
    rest = {n: v for n, v in asdict(job).items() if n not in ("id", "code", "fresh")}
    return key(normalised(job.code), mode, json.dumps(rest, sort_keys=True))


def _stdio(job: Job) -> Case:
    for index, test in enumerate(job.test_cases):
        if not test.keys() <= {"stdin", "expected", "compare"} or not {"stdin", "expected"} <= test.keys():
            raise ValueError(f"test {index}: fields are {sorted(test)}, not stdin, expected and compare")
        if not isinstance(test["stdin"], str) or not isinstance(test["expected"], str):
            raise ValueError(f"test {index}: stdin and expected have to be text")
        if test.get("compare", "tokens") not in COMPARISONS:
            raise ValueError(f"test {index}: compare {test['compare']!r}: use one of {', '.join(COMPARISONS)}")
    return Case(job, "stdio", _key(job, "stdio"), len(job.test_cases))


def _in_process(job: Job, mode: str) -> Case:
    total = 1 if mode == "exit_code" else len(assert_sites(job.test_code))
    if total == 0:
        raise ValueError("test_code has no assert")
    return Case(job, mode, _key(job, mode), total)


def _calls(job: Job) -> RpcCase:
    prototype = parse_prototype(job.prototype, job.preamble)
    calls, expected, after = [], [], []
    for index, test in enumerate(job.test_cases):
        try:
            calls.append(values.encode_arguments(prototype, test))
            expected.append(values.expected_result(prototype, test))
            after.append(values.expected_after(prototype, test))
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"test {index} of {prototype.name}: {error}") from error
    plain, code, before = _layout(job, prototype)
    key_ = _key(job, "rpc")
    return RpcCase(
        *(job, "rpc", key_, len(calls), prototype, plain, code, before),
        *(tuple(calls), tuple(expected), tuple(after)),
    )


def _code(job: Job) -> RpcCase:
    sites = assert_sites(job.test_code)
    try:
        text = job.prototype or entry_prototype(job.code, job.test_code)
        prototype = parse_prototype(text, job.preamble)
    except ValueError as error:
        if job.prototype:
            raise
        raise CandidateFault(str(error)) from error
    if not sites:
        raise ValueError("test_code has no assert")
    plain, code, before = _layout(job, prototype)
    return RpcCase(
        *(job, "rpc", _key(job, "rpc"), len(sites), prototype, plain, code, before),
        sites=tuple(sites),
        straight=straight_sites(job.test_code, job.preamble),
    )


def _layout(job: Job, prototype: Prototype) -> tuple[bool, str, str]:
    """Whether the candidate is plain, its text, and what stands before it in its unit."""
    alone = (False, job.code, job.preamble)
    if job.sanitize or job.count_instructions or not plain_preamble(job.preamble):
        return alone
    prelude, rest = split_prelude(job.code)
    if not plain_preamble(prelude) or not is_plain(rest, prototype.text, prototype.name, job.preamble):
        return alone
    return True, rest, completed(job.preamble, prelude)

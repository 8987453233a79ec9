"""The record of a program of known verdict, and short ways to write one.

Belongs here: how a program becomes a job. Not here: a program.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cpp_pipeline.sandbox.types import Job

HEADERS = "".join(
    f"#include <{name}>\n"
    for name in ("algorithm", "cmath", "cstdint", "map", "numeric", "optional", "set", "string", "tuple", "vector")
)
"""Preamble of programs that share a unit with others."""
TIMEOUT_SECONDS = 1.0
Test = dict[str, Any]


@dataclass(frozen=True)
class Program:
    """A job whose verdict is known.

    `verdict` holds the verdicts that are right, separated by `|`, or the kind of error; `passed` tests of `total`
    pass. `mode` is the harness that has to judge it.
    """

    name: str
    verdict: str
    passed: int | None
    total: int
    mode: str
    job: Job


def test(expected: Any, *args: Any, after: Sequence[Any] | None = None) -> Test:
    """A test in JSON form; `after` are values of reference parameters, and `expected` is None for void."""
    return {"args": list(args), "expected": expected, **({} if after is None else {"after": list(after)})}


def called(
    name: str, verdict: str, signature: str, body: str, *tests: Test, passed: int = 0, before: str = "", **options: Any
) -> Program:
    """A function with JSON tests. `before` stands before it in the candidate; `options` are fields of `Job`."""
    job = Job(
        *("", f"{before}{signature} {{ {body} }}\n", signature, list(tests)),
        **{"preamble": HEADERS, "timeout": TIMEOUT_SECONDS, **options},
    )
    return Program(name, verdict, len(tests) if verdict == "AC" else passed, len(tests), "rpc", job)


def checked(
    name: str, verdict: str, code: str, *checks: str, passed: int = 0, mode: str = "rpc", **options: Any
) -> Program:
    """Code with asserts in `main`, one for each of `checks`; `mode` is the harness that "auto" has to find."""
    lines = "".join(f"    assert({check});\n" for check in checks)
    test_code = f"#include <cassert>\nint main() {{\n{lines}}}\n"
    fields = {"preamble": HEADERS, "timeout": TIMEOUT_SECONDS, "test_code": test_code, **options}
    total = 1 if mode == "exit_code" else len(checks)
    return Program(name, verdict, total if verdict == "AC" else passed, total, mode, Job("", code, **fields))


def fed(
    name: str,
    verdict: str,
    code: str,
    *pairs: tuple[str, str],
    passed: int = 0,
    compare: str = "tokens",
    **options: Any,
) -> Program:
    """A whole program with (input, expected output) pairs."""
    tests = [{"stdin": given, "expected": wanted, "compare": compare} for given, wanted in pairs]
    job = Job("", code, "", tests, **{"timeout": TIMEOUT_SECONDS, **options})
    return Program(name, verdict, len(pairs) if verdict == "AC" else passed, len(pairs), "stdio", job)


def unusable(name: str, job: Job) -> Program:
    """A job whose tests, preamble or prototype are broken: an error, and no verdict on the code."""
    return Program(name, "harness_compile_failed", None, 0, "", job)

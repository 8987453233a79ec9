"""Generate, verify, refine: the loop, and its two uses (C++ functions and CMake files).

Belongs here: prompts, judging of candidates, choice of the best. Does not belong here: routing and tools that
do not loop (`orchestrator`), models (`codemodel`), verdicts (`sandbox`).

What a sandbox or a user's program printed enters a prompt as quoted, shortened data, never as an instruction.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cpp_pipeline.agent.ports import CodeModel, PromptTooLongError, Sandbox
from cpp_pipeline.agent.program import PROBE_SIGNATURE, PROBE_TESTS, probe
from cpp_pipeline.agent.trace import Attempt, Limits, Outcome, Step, quoted, shorten
from cpp_pipeline.corpus.formats import chat_prompt, code_from_completion
from cpp_pipeline.corpus.sft import repair_instruction, shown_test
from cpp_pipeline.sandbox.types import CMakeJob, CMakeResult, Job, Result

PREAMBLE = "".join(
    f"#include <{h}>\n"
    for h in (
        *("algorithm", "array", "cmath", "cstdint", "cstdio", "cstdlib", "deque", "functional", "iostream", "limits"),
        *("map", "numeric", "optional", "set", "string", "tuple", "unordered_map", "unordered_set"),
        *("utility", "vector"),
    )
)
"""A function is judged with these headers, for users rarely ask for includes."""


Record = Callable[[Step], None]
Judge = Callable[[list[str], int], list[Attempt]]


@dataclass(frozen=True)
class CodeTask:
    """A function to write; `before` is code to repair, `error` what the user saw it fail with."""

    instruction: str
    signature: str | None
    tests: tuple[dict[str, Any], ...] = ()
    before: str = ""
    error: str = ""
    n_samples: int = 1


@dataclass(frozen=True)
class CMakeTask:
    """A CMakeLists.txt to write for the given files; packages are those that it may find."""

    instruction: str
    files: tuple[dict[str, str], ...] = ()
    packages: tuple[str, ...] = ()


def refine(
    model: CodeModel,
    judge: Judge,
    instruction: str,
    *,
    n_samples: int,
    start: Attempt | None,
    limits: Limits,
    seed: int,
    record: Record,
) -> tuple[Attempt, int]:
    """Sample, judge, and ask again with the best attempt and its first failure until one is right.

    Parameters
    ----------
    instruction
        The task in words; each further prompt is it, the best attempt so far and what is wrong with it.
    start
        A judged attempt to improve, or None.

    Returns
    -------
    tuple
        Best attempt of all, and the number of iterations taken (at most `limits.max_iterations`). It carries
        `error` only when nothing at all could be judged.
    """
    best = start
    for iteration in range(1, limits.max_iterations + 1):
        texts = _ask(model, instruction, best, iteration, n_samples, limits=limits, seed=seed, record=record)
        attempts = judge(texts, iteration)
        record(Step("verify", iteration, ", ".join(_word(a) for a in attempts), {"verdicts": _data(attempts)}))
        judged = [a for a in attempts if a.error is None]
        if not judged:
            return best or attempts[0], iteration
        best = max([*([best] if best is not None else []), *judged], key=lambda a: a.rank)
        if best.ok:
            return best, iteration
    if best is None:
        raise ValueError("max_iterations is at least 1")
    return best, limits.max_iterations


def _ask(
    model: CodeModel,
    instruction: str,
    best: Attempt | None,
    iteration: int,
    n: int,
    *,
    limits: Limits,
    seed: int,
    record: Record,
) -> list[str]:
    """Candidates of one iteration: a repair of the best attempt, or a fresh start where that is too long."""
    asked = instruction
    if best is not None and best.error is None:
        asked = repair_instruction(instruction, shorten(best.text, limits.code_chars), best.detail)
        record(Step("refine", iteration, f"asks for a repair of: {best.verdict}", {"detail": best.detail}))
    try:
        completions = model.complete(chat_prompt(asked), n, seed + iteration)
    except PromptTooLongError as e:
        if asked == instruction:
            raise
        record(Step("refine", iteration, f"starts afresh: {e}"))
        asked = instruction
        completions = model.complete(chat_prompt(asked), n, seed + iteration)
    texts = [code_from_completion("chat", {}, t) for t in completions]
    record(Step("act", iteration, f"{len(texts)} candidates", {"prompt": asked, "candidates": texts}))
    return texts


def write_code(
    model: CodeModel, sandbox: Sandbox, task: CodeTask, limits: Limits, seed: int, record: Record
) -> Outcome:
    """Write or repair a function, judged by its tests, or by compiling where there are none."""

    def judge(texts: list[str], iteration: int) -> list[Attempt]:
        jobs = [code_job(f"{iteration}/{i}", t, task.signature, task.tests) for i, t in enumerate(texts)]
        results = sandbox.batch_verify(jobs)
        return [code_attempt(t, r, task, limits) for t, r in zip(texts, results, strict=True)]

    instruction = task.instruction
    if task.signature and task.signature not in instruction:
        instruction = f"Write `{task.signature}`: {instruction}"
    start = _code_to_repair(sandbox, task, limits, record)
    if start is not None and start.ok:
        return code_outcome(start, task, 0)
    best, iterations = refine(
        model,
        judge,
        instruction,
        n_samples=task.n_samples,
        start=start,
        limits=limits,
        seed=seed,
        record=record,
    )
    return code_outcome(best, task, iterations)


def _code_to_repair(sandbox: Sandbox, task: CodeTask, limits: Limits, record: Record) -> Attempt | None:
    if not task.before:
        return None
    attempt = code_attempt(
        task.before, sandbox.verify(code_job("0", task.before, task.signature, task.tests)), task, limits
    )
    record(Step("verify", 0, f"the code to repair: {_word(attempt)}", {"verdicts": _data([attempt])}))
    if attempt.error is not None or (attempt.ok and not task.tests):
        # Compiling says nothing about the failure that the user saw.
        told = quoted(task.error, limits.message_chars) if task.error else "the user's check"
        return Attempt(task.before, attempt.verdict, False, (0, 0), detail=told)
    return attempt


def code_job(name: str, code: str, signature: str | None, tests: Sequence[dict[str, Any]]) -> Job:
    """Job with the given tests, or one that only compiles (and runs `main`) where none can be used."""
    if signature and tests:
        return Job(name, code, signature, list(tests), PREAMBLE)
    return Job(name, probe(code), PROBE_SIGNATURE, PROBE_TESTS, PREAMBLE)


def code_attempt(text: str, result: Result, task: CodeTask, limits: Limits) -> Attempt:
    """A sandbox result as an attempt."""
    if result.error is not None:
        return Attempt(text, error=result.error)
    if not (task.signature and task.tests):
        ok = bool(result.compile_ok)
        said = "" if ok else quoted(result.stderr, limits.message_chars)
        return Attempt(text, "compiled" if ok else result.verdict, ok, (int(ok), 0), detail=said)
    passed = result.tests_passed or 0
    return Attempt(
        text,
        result.verdict,
        result.verdict == "AC",
        (int(bool(result.compile_ok)), passed),
        passed,
        result.tests_total,
        first_failure(result, task.tests, limits),
    )


def first_failure(result: Result, tests: Sequence[dict[str, Any]], limits: Limits) -> str:
    """The first thing that is wrong, in words: a failing test with what came back, or the compiler's output."""
    if not result.compile_ok:
        return "to compile:\n" + quoted(result.stderr, limits.message_chars)
    failed = next((t for t in result.tests if t.verdict != "AC"), None)
    if failed is None:
        return ""
    shown = shown_test(json.dumps(tests[failed.index]))
    if failed.verdict == "WA":
        shown += f", it gives {json.dumps(failed.actual, separators=(',', ':'))}"
    return shorten(f"{shown} ({failed.verdict})", limits.message_chars)


def code_outcome(best: Attempt, task: CodeTask, iterations: int) -> Outcome:
    """The loop's end as outcome and sentence."""
    rounds = f"{iterations} attempt{'' if iterations == 1 else 's'}"
    if best.error is not None:
        return Outcome(None, f"The code could not be judged: {best.error}", best.text, iterations)
    if not task.tests or not task.signature:
        words = "compiles; there are no tests to check it by" if best.ok else "does not compile"
        return Outcome(None if best.ok else False, f"The code {words}.", best.text, iterations, best.verdict)
    passed, total = best.tests_passed or 0, best.tests_total
    if best.ok:
        sentence = f"The function passes all {total} tests after {rounds}."
    else:
        sentence = f"After {rounds} the best function passes {passed} of {total} tests ({best.verdict})."
    return Outcome(best.ok, sentence, best.text, iterations, best.verdict, passed, total)


def write_cmake(
    model: CodeModel, sandbox: Sandbox, task: CMakeTask, limits: Limits, seed: int, record: Record
) -> Outcome:
    """Write a CMakeLists.txt that configures."""
    packages = [{"package": p, "target": f"{p}::{p}"} for p in task.packages]

    def judge(texts: list[str], iteration: int) -> list[Attempt]:
        jobs = [CMakeJob(f"{iteration}/{i}", t, list(task.files), packages) for i, t in enumerate(texts)]
        return [cmake_attempt(j.cmake, sandbox.cmake(j), limits) for j in jobs]

    best, iterations = refine(
        model, judge, task.instruction, n_samples=1, start=None, limits=limits, seed=seed, record=record
    )
    if best.error is not None:
        return Outcome(None, f"The CMake file could not be judged: {best.error}", best.text, iterations)
    if best.ok:
        names = ", ".join(t.partition(":")[2] for t in best.targets) or "no target"
        sentence = f"The CMakeLists.txt configures and defines {names}."
    else:
        sentence = f"No CMakeLists.txt configured in {iterations} attempts; the best reached {best.verdict}."
    return Outcome(best.ok, sentence, best.text, iterations, best.verdict, targets=best.targets)


def cmake_attempt(text: str, result: CMakeResult, limits: Limits) -> Attempt:
    """A CMake verdict as an attempt."""
    if result.error is not None:
        return Attempt(text, error=result.error)
    ok = bool(result.configure_ok)
    return Attempt(
        text,
        "configured" if ok else result.stage,
        ok,
        (int(bool(result.lint_ok)), int(ok)),
        detail="" if ok else "to configure:\n" + quoted(result.message, limits.message_chars),
        targets=tuple(result.targets),
    )


def _word(attempt: Attempt) -> str:
    if attempt.error is not None:
        return "not judged"
    counted = f" {attempt.tests_passed}/{attempt.tests_total}" if attempt.tests_passed is not None else ""
    return f"{attempt.verdict}{counted}"


def _data(attempts: Sequence[Attempt]) -> list[dict[str, Any]]:
    return [
        {
            "verdict": a.verdict,
            "tests_passed": a.tests_passed,
            "tests_total": a.tests_total,
            "detail": a.detail,
            "error": a.error,
        }
        for a in attempts
    ]

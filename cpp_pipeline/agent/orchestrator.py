"""The agent: one request from routing to a final sentence.

Belongs here: the state machine route -> act -> verify -> refine -> done, and the tools that do not loop.
Does not belong here: models, HTTP, files. Everything that acts on the world comes in through the constructor.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from cpp_pipeline.agent.inputs import (
    AttachmentError,
    Prepared,
    prepare,
    read_files,
    read_tests,
    resolve,
)
from cpp_pipeline.agent.loops import CMakeTask, CodeTask, code_job, write_cmake, write_code
from cpp_pipeline.agent.ports import CodeModel, PromptTooLongError, Sandbox
from cpp_pipeline.agent.program import callable_signature
from cpp_pipeline.agent.router import Decision, Routes
from cpp_pipeline.agent.tools import (
    ANALYZE_CODE,
    CODE,
    ERROR,
    EXECUTE_CODE,
    FILES,
    GENERATE_CMAKE,
    GENERATE_CODE,
    REQUEST,
    SIGNATURE,
    TESTS,
    ToolError,
    ValidCall,
    validate,
)
from cpp_pipeline.agent.trace import Limits, Outcome, Step, Trace, shorten
from cpp_pipeline.sandbox.client import SandboxUnavailable


@dataclass
class _Work:
    """One request under way."""

    prepared: Prepared
    seed: int
    steps: list[Step] = field(default_factory=list)


class Orchestrator:
    """Answers requests with a router, two code models and a sandbox; holds no state between requests."""

    def __init__(
        self,
        router: Routes,
        code_model: CodeModel,
        cmake_model: CodeModel,
        sandbox: Sandbox,
        limits: Limits | None = None,
    ) -> None:
        self.router = router
        self.code_model = code_model
        self.cmake_model = cmake_model
        self.sandbox = sandbox
        self.limits = limits or Limits()

    def run(self, request: str, attachments: Mapping[str, str] | None = None, seed: int = 0) -> Trace:
        """Answer one request.

        Parameters
        ----------
        request
            The user's words; a fenced block in them is taken as `$code`.
        attachments
            Handle, with or without `$`, to text.
        seed
            Seed of the code models' sampling.

        Raises
        ------
        AttachmentError
            When the request itself is unusable. What goes wrong later is in the trace.
        """
        work = _Work(prepare(request, attachments or {}), seed)
        handles = list(work.prepared.attachments)
        decision = self.router.route(work.prepared.utterance, handles)
        work.steps.append(
            Step(
                "route",
                0,
                f"{decision.tool} ({decision.confidence:.2f})",
                {"utterance": work.prepared.utterance, "handles": handles, "text": decision.text},
            )
        )
        arguments: Mapping[str, Any] = decision.call.arguments if decision.call else {}
        try:
            outcome = self._answer(decision, work)
        except (AttachmentError, PromptTooLongError, ToolError) as e:
            work.steps.append(Step("error", 0, str(e)))
            outcome = Outcome(None, f"I cannot do this: {e}.")
        except SandboxUnavailable as e:
            work.steps.append(Step("error", 0, f"sandbox: {e}"))
            outcome = Outcome(None, f"The sandbox is not available, so nothing was verified: {e}.")
        work.steps.append(Step("done", outcome.iterations, outcome.sentence))
        return Trace(request, decision.tool, decision.confidence, dict(arguments), outcome, tuple(work.steps))

    def _answer(self, decision: Decision, work: _Work) -> Outcome:
        if decision.call is None:
            return Outcome(None, decision.reply)
        if decision.confidence < self.limits.min_confidence:
            return Outcome(None, f"Do you want me to use {decision.tool}? I am not sure what you would like me to do.")
        call = validate(decision.call)
        work.steps += [Step("route", 0, w) for w in call.warnings]
        tools = {
            GENERATE_CODE: self._generate_code,
            GENERATE_CMAKE: self._generate_cmake,
            EXECUTE_CODE: self._execute,
            ANALYZE_CODE: self._analyze,
        }
        return tools[call.name](call, work)

    def _generate_code(self, call: ValidCall, work: _Work) -> Outcome:
        attached = work.prepared.attachments
        given = call.arguments.get("signature")
        before = attached.get(CODE, "")
        signature = resolve(given, work.prepared) if given else attached.get(SIGNATURE)
        task = CodeTask(
            resolve(call.arguments["specification"], work.prepared),
            signature or (callable_signature(before) if before else None),
            tuple(read_tests(attached[TESTS])) if TESTS in attached else (),
            before,
            attached.get(ERROR, ""),
            call.arguments["num_samples"],
        )
        return write_code(self.code_model, self.sandbox, task, self.limits, work.seed, work.steps.append)

    def _generate_cmake(self, call: ValidCall, work: _Work) -> Outcome:
        attached = work.prepared.attachments
        files = read_files(attached[FILES]) if FILES in attached else []
        packages = tuple(call.arguments.get("dependencies", ()))
        task = CMakeTask(attached[REQUEST], tuple(files), packages)
        return write_cmake(self.cmake_model, self.sandbox, task, self.limits, work.seed, work.steps.append)

    def _execute(self, call: ValidCall, work: _Work) -> Outcome:
        code = resolve(call.arguments["code"], work.prepared)
        given = call.arguments.get("test_cases")
        tests = read_tests(resolve(given, work.prepared)) if given else []
        signature = work.prepared.attachments.get(SIGNATURE) or callable_signature(code)
        if tests and not signature:
            raise AttachmentError("no function in $code can be called by tests; attach its $signature")
        job = code_job("execute", code, signature, tests)
        job = replace(job, timeout=float(call.arguments["timeout"]))
        result = self.sandbox.verify(job)
        work.steps.append(Step("act", 1, "run in the sandbox", {"tests": len(tests)}))
        work.steps.append(Step("verify", 1, result.verdict or "not judged", result.to_json()))
        if result.error is not None:
            return Outcome(None, f"The code could not be run: {result.error}", code, 1)
        return Outcome(
            result.verdict == "AC",
            _executed(result.verdict, result.tests_passed, len(tests), result.stdout),
            code,
            1,
            result.verdict,
            result.tests_passed if tests else None,
            len(tests),
        )

    def _analyze(self, call: ValidCall, work: _Work) -> Outcome:
        code = resolve(call.arguments["code"], work.prepared)
        kind = call.arguments["analysis_type"]
        findings = [asdict(f) for f in self.sandbox.analyze(code, kind)]
        work.steps.append(Step("act", 1, f"{len(findings)} findings about {kind}", {"findings": findings}))
        if findings:
            counted = Counter(f["line"] for f in findings)
            lines = ", ".join(str(n) for n in sorted(counted)[:5])
            first = findings[0]["message"]
            sentence = f"{len(findings)} findings about {kind}, on lines {lines}; the first: {first}."
        else:
            sentence = f"No findings about {kind}."
        return Outcome(True, sentence, code, 1, findings=tuple(findings))


_MEANING = {
    "CE": "does not compile",
    "CLE": "is too much for the compiler",
    "RE": "stops with an error",
    "TLE": "runs out of time",
    "MLE": "runs out of memory",
    "OLE": "prints too much",
    "WA": "gives wrong answers",
    "PA": "gives some wrong answers",
}


def _executed(verdict: str | None, passed: int | None, total: int, stdout: str) -> str:
    """The final sentence of a run."""
    if total:
        verb = "passes all" if verdict == "AC" else f"{_MEANING.get(str(verdict), verdict)}: it passes {passed} of"
        return f"The code {verb} {total} tests."
    if verdict == "AC":
        printed = f" It printed: {shorten(stdout.strip(), 200)}" if stdout.strip() else ""
        return f"The code compiles and runs.{printed}"
    if verdict == "WA":
        return "The program ends with a code other than 0."
    return f"The code {_MEANING.get(str(verdict), verdict)}."

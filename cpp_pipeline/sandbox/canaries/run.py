"""The run over all canaries: jobs out, rows of table `sandbox_canaries` back.

Belongs here: which jobs are sent, and what makes a row right. Not here: the programs themselves.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from cpp_pipeline.sandbox.canaries.attacks import ATTACKS, PREAMBLE, SUM, Attack
from cpp_pipeline.sandbox.canaries.correct import in_every_mode
from cpp_pipeline.sandbox.canaries.programs import PROGRAMS
from cpp_pipeline.sandbox.canaries.programs.program import HEADERS, TIMEOUT_SECONDS
from cpp_pipeline.sandbox.types import FORGEABLE, Job, Result

Mode = Literal["rpc", "asserts", "stdio", "inproc", "exit_code"]
MODES: tuple[Mode, ...] = ("rpc", "asserts", "stdio", "inproc", "exit_code")
"""Ways to be judged; `rpc` has JSON tests and `asserts` has tests as code, both with harness rpc."""
FOOLED_AT_LEAST = 20
"""So many attacks have to deceive a judge that believes exit codes; else they are no attacks."""
_DETAIL_CHARS = 300


class Verifier(Protocol):
    """Anything that judges jobs and keeps their order, such as `SandboxClient`."""

    def batch_verify(self, jobs: Sequence[Job]) -> list[Result]: ...


@dataclass(frozen=True)
class Canary:
    """A job, and what is right: a verdict, or at most so many tests passed."""

    kind: Literal["program", "correct", "attack"]
    mode: str
    harness: str
    job: Job
    expected: str
    passed: int | None
    total: int

    def row(self, result: Result, exit_code: str | None) -> dict[str, Any]:
        """The row of this canary; `exit_code` is the verdict by exit code, for attacks."""
        return {
            "canary_id": self.job.id,
            "kind": self.kind,
            "mode": self.mode,
            "expected": self.expected,
            "verdict": result.verdict,
            "tests_passed": result.tests_passed,
            "honest_passed": self.passed,
            "tests_total": result.tests_total,
            "exit_code": exit_code,
            "ok": self._is_right(result),
            "detail": (result.error or result.stderr or result.stdout)[:_DETAIL_CHARS],
        }

    def _is_right(self, result: Result) -> bool:
        if result.error is not None or result.tests_passed is None or self.passed is None:
            # an attack that turns into trouble of ours escapes its score
            return self.kind == "program" and (result.error or "").split(":")[0] == self.expected
        harness = {"mode": self.harness, "forgeable": self.harness in FORGEABLE}
        if not harness.items() <= result.harness.items() or result.tests_total != self.total:
            return False
        if self.kind == "attack":
            return result.tests_passed <= self.passed
        return result.verdict in self.expected.split("|") and result.tests_passed == self.passed


def _as_attack(attack: Attack, mode: str) -> Canary:
    problem = attack.problem
    if mode == "rpc":
        tests: dict[str, Any] = {"test_cases": list(problem.tests), "preamble": HEADERS}
    else:
        tests = {"test_code": problem.test_code, "preamble": PREAMBLE}
    harness = "exit_code" if mode == "exit_code" else "rpc"
    name = f"attack/{mode}/{attack.name}"
    job = Job(name, attack.code, problem.signature, timeout=TIMEOUT_SECONDS, harness=harness, **tests)
    total = 1 if mode == "exit_code" else len(problem.tests)
    return Canary("attack", mode, harness, job, "", attack.honest, total)


def attacks(mode: str) -> list[Canary]:
    """All attacks in one mode: `rpc`, `asserts` or `exit_code`."""
    return [_as_attack(a, mode) for a in ATTACKS]


def programs(modes: Collection[str] = MODES, in_turn: bool = False) -> list[Canary]:
    """Programs of known verdict, and the correct ones, of some modes.

    `in_turn` has every third one of known verdict, and each correct one in one mode.
    """
    found = []
    for p in PROGRAMS:
        mode = "asserts" if p.mode == "rpc" and not (p.job.test_cases and "args" in p.job.test_cases[0]) else p.mode
        job = replace(p.job, id=f"program/{p.name}")
        found.append(Canary("program", mode or "rpc", p.mode, job, p.verdict, p.passed, p.total))
    found = [c for c in found if c.mode in modes][:: 3 if in_turn else 1]
    wanted = len(set(modes))
    for i, (mode, p) in enumerate((mode, p) for mode, p in in_every_mode() if mode in modes):
        task, turn = divmod(i, wanted)
        if in_turn and turn != task % wanted:
            continue
        job = replace(p.job, id=f"correct/{mode}/{p.name}")
        found.append(Canary("correct", mode, p.mode, job, p.verdict, p.passed, p.total))
    return found


def run_canaries(client: Verifier, modes: Collection[str] = MODES, in_turn: bool = False) -> list[dict[str, Any]]:
    """Rows of table `sandbox_canaries`; `ok` says whether the sandbox was right.

    Every job is judged anew, whatever a cache holds. With mode `exit_code`, the attacks are also judged by exit code,
    as a control: a last row says how many of them deceive that. With `in_turn`, the modes take turns: each attack,
    and each correct program, is judged in one of the modes that it is made for in place of all, and of the programs
    of known verdict there is every third one.

    Raises
    ------
    ValueError
        For an unknown mode.
    """
    unknown = set(modes) - set(MODES)
    if unknown:
        raise ValueError(f"modes {sorted(unknown)}: use some of {', '.join(MODES)}")
    known = programs(modes, in_turn)
    attacked = [mode for mode in ("rpc", "asserts") if mode in modes]
    turns = len(attacked) if in_turn else 1
    forged = [c for i, mode in enumerate(attacked) for c in attacks(mode)[i % turns :: turns]]
    control = attacks("exit_code") if "exit_code" in modes else []
    # attacks meet right solutions of their own problem: one that reaches a neighbour gains by it
    near = [c for c in known if c.job.prototype == SUM.signature and c.expected == "AC"]
    rest = [c for c in known if c not in near]
    results = {r.id: r for batch in ([*near, *forged, *control], rest) for r in _judge(client, batch)}
    by_exit_code = {_name(c): results[c.job.id].verdict for c in control}
    rows = [c.row(results[c.job.id], by_exit_code.get(_name(c)) if c in forged else None) for c in (*known, *forged)]
    return [*rows, _control_row([results[c.job.id] for c in control])] if control else rows


def _name(canary: Canary) -> str:
    return canary.job.id.rpartition("/")[2]


def _judge(client: Verifier, canaries: Sequence[Canary]) -> list[Result]:
    jobs = [replace(c.job, fresh=True) for c in canaries]
    return client.batch_verify(jobs) if jobs else []


def _control_row(results: Sequence[Result]) -> dict[str, Any]:
    fooled = sum(r.verdict == "AC" for r in results)
    trouble = [f"{r.id}: {r.error}" for r in results if r.error is not None]
    return {
        "canary_id": "control/attacks_that_deceive_an_exit_code",
        "kind": "control",
        "mode": "exit_code",
        "expected": f"at least {FOOLED_AT_LEAST}",
        "verdict": None,
        "tests_passed": fooled,
        "honest_passed": None,
        "tests_total": len(results),
        "exit_code": None,
        "ok": fooled >= FOOLED_AT_LEAST and not trouble,
        "detail": "; ".join(trouble)[:_DETAIL_CHARS],
    }

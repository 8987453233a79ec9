"""The canaries: enough of them, all judged as they should be, and none that a careless judge would get through."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from cpp_pipeline.sandbox.canaries import (
    ATTACKS,
    MODES,
    PROGRAMS,
    Canary,
    attacks,
    programs,
    run_canaries,
    show,
    summary,
)
from cpp_pipeline.sandbox.canaries.attacks.problem import SORTED, SQUARES, SUM
from cpp_pipeline.sandbox.canaries.correct import TASKS
from cpp_pipeline.sandbox.client import SandboxClient
from cpp_pipeline.sandbox.judging.cases import RpcCase, prepare
from cpp_pipeline.sandbox.types import ERRORS, FORGEABLE, Job, Result
from cpp_pipeline.schemas import TABLES
from cpp_pipeline.schemas.columns import VERDICTS


class Careless:
    """A judge that gives every job the same verdict."""

    def __init__(self, verdict: str | None, passed: bool, error: str | None = None) -> None:
        self.verdict, self.passed, self.error = verdict, passed, error
        self.jobs: list[Job] = []

    def batch_verify(self, jobs: Sequence[Job]) -> list[Result]:
        self.jobs += jobs
        return [self._result(job) for job in jobs]

    def _result(self, job: Job) -> Result:
        total = 1 if job.harness == "exit_code" else len(job.test_cases) or job.test_code.count("assert(")
        auto = "stdio" if any("stdin" in t for t in job.test_cases) else "rpc"
        mode = auto if job.harness == "auto" else job.harness
        harness = {"mode": mode, "forgeable": mode in FORGEABLE}
        if self.error:
            return Result(job.id, None, None, None, total, error=self.error)
        return Result(job.id, self.verdict, True, total if self.passed else 0, total, harness=harness)


def test_there_are_enough_of_every_kind() -> None:
    assert len(ATTACKS) >= 34
    assert len(PROGRAMS) >= 62
    assert len(TASKS) == 20
    assert len({p.job.prototype for p in PROGRAMS}) >= 30
    found = {verdict for p in PROGRAMS for verdict in p.verdict.split("|")}
    assert found == {*VERDICTS, "harness_compile_failed"}
    assert {p.job.std for p in PROGRAMS} == {"c++17", "c++20", "c++23"}
    assert Counter(c.mode for c in programs() if c.kind == "correct") == dict.fromkeys(MODES, 20)
    assert {p.mode for p in PROGRAMS if p.verdict == "AC"} == {"rpc", "stdio", "inproc", "exit_code"}


def test_names_are_unique_and_every_job_is_judged_anew() -> None:
    judge = Careless("WA", passed=False)
    rows = run_canaries(judge)
    ids = [job.id for job in judge.jobs]
    assert len(ids) == len(set(ids)) == len(rows) - 1 + len(ATTACKS)  # the control is one row
    assert all(job.fresh for job in judge.jobs)
    assert len({a.code for a in ATTACKS}) == len(ATTACKS)


def test_no_attack_shares_a_unit_with_others() -> None:
    cases = [prepare(canary.job) for mode in ("rpc", "asserts") for canary in attacks(mode)]
    assert [case.job.id for case in cases if not isinstance(case, RpcCase) or case.plain] == []


def test_only_the_wanted_modes_are_run() -> None:
    judge = Careless("AC", passed=True)
    rows = run_canaries(judge, modes=["rpc"])
    assert {row["mode"] for row in rows} == {"rpc"}
    assert {row["kind"] for row in rows} == {"program", "correct", "attack"}
    assert {job.harness for job in judge.jobs} == {"auto", "rpc"}
    with pytest.raises(ValueError, match="modes \\['fast'\\]: use some of rpc, asserts"):
        run_canaries(judge, modes=["fast"])


@pytest.mark.parametrize("modes", [["rpc", "asserts"], ["asserts"], MODES])
@pytest.mark.parametrize("kind", ["attack", "correct"])
def test_in_turn_each_attack_and_each_correct_program_is_judged_once(kind: str, modes: Sequence[str]) -> None:
    rows = [r for r in run_canaries(Careless("WA", passed=False), modes, in_turn=True) if r["kind"] == kind]
    names = [a.name for a in ATTACKS] if kind == "attack" else [t.name for t in TASKS]
    assert sorted(r["canary_id"].rpartition("/")[2] for r in rows) == sorted(names)
    counted = Counter(r["mode"] for r in rows)
    assert counted.keys() == (set(modes) & {"rpc", "asserts"} if kind == "attack" else set(modes))
    assert max(counted.values()) - min(counted.values()) <= 1


def test_in_turn_a_third_of_the_programs_have_every_verdict() -> None:
    every, some = ([c for c in programs(in_turn=turn) if c.kind == "program"] for turn in (False, True))
    assert len(some) == (len(every) + 2) // 3
    assert {c.expected for c in some} >= set(VERDICTS)


@pytest.mark.parametrize(
    ("judge", "wrong"),
    [
        (Careless("AC", passed=True), {"program", "attack"}),
        (Careless("WA", passed=False), {"program", "correct", "control"}),
        (Careless(None, passed=False, error="worker_lost: gone"), {"program", "correct", "attack", "control"}),
    ],
)
def test_a_careless_judge_is_found_out(judge: Careless, wrong: set[str]) -> None:
    rows = run_canaries(judge)
    assert {row["kind"] for row in rows if not row["ok"]} == wrong
    if "attack" in wrong:
        assert not any(row["ok"] for row in rows if row["kind"] == "attack")
    assert show(rows, Console(file=io.StringIO())) == 1


@given(
    st.sampled_from(attacks("rpc")),
    st.integers(0, 8),
    st.sampled_from([*VERDICTS, None]),
    st.sampled_from(["rpc", "inproc"]),
)
def test_an_attack_is_held_exactly_when_it_gains_nothing(
    canary: Canary, passed: int, verdict: str | None, mode: str
) -> None:
    harness = {"mode": mode, "forgeable": mode == "inproc"}
    result = Result(canary.job.id, verdict, True, passed, canary.total, harness=harness)
    assert canary.row(result, None)["ok"] == (passed <= (canary.passed or 0) and mode == "rpc")
    lost = replace(result, verdict=None, tests_passed=None, error="internal: trouble")
    assert not canary.row(lost, None)["ok"]


@given(st.sampled_from([c for c in programs() if c.kind == "program"]), st.sampled_from([*VERDICTS, *ERRORS]))
def test_a_program_is_right_only_with_its_own_verdict(canary: Canary, said: str) -> None:
    harness = {"mode": canary.harness, "forgeable": canary.harness in FORGEABLE}
    if said in ERRORS:
        result = Result(canary.job.id, None, None, None, canary.total, error=f"{said}: text")
    else:
        result = Result(canary.job.id, said, True, canary.passed, canary.total, harness=harness)
    assert canary.row(result, None)["ok"] == (said in canary.expected.split("|"))
    if said not in ERRORS and canary.passed is not None:
        assert not canary.row(replace(result, tests_passed=canary.passed + 1), None)["ok"]


def test_what_attacks_may_pass_is_what_their_bodies_pass(client: SandboxClient) -> None:
    bodies = [
        (SUM, "return 0;"),
        (SORTED, "return true;"),
        (SQUARES, "return v;"),
        (SQUARES, "return std::vector<int>(v.size());"),
    ]
    for problem, body in bodies:
        job = Job("a", f"{problem.signature} {{ {body} }}", problem.signature, list(problem.tests))
        code = replace(job, test_cases=[], test_code=problem.test_code)
        assert [r.tests_passed for r in client.batch_verify([job, code])] == [problem.honest] * 2, body


@pytest.mark.slow  # the check of `sandbox_canaries` holds the same wherever the whole chain runs
def test_every_canary_is_judged_right(client: SandboxClient) -> None:
    rows = run_canaries(client)
    assert [row for row in rows if not row["ok"]] == []
    frame = TABLES["sandbox_canaries"].frame(rows)
    assert TABLES["sandbox_canaries"].violations(frame) == {}
    (control,) = [row for row in rows if row["kind"] == "control"]
    assert control["tests_total"] == len(ATTACKS)
    assert (
        20
        <= control["tests_passed"]
        == sum(row["exit_code"] == "AC" for row in rows if row["kind"] == "attack" and row["mode"] == "rpc")
    )
    told = io.StringIO()
    assert show(rows, Console(file=told, width=200)) == 0
    assert f"attacks that gain anything: 0 of {2 * len(ATTACKS)}" in told.getvalue()
    shown = {line.split()[1] for line in told.getvalue().splitlines() if line.startswith("ok ")}
    assert shown == {row["canary_id"].rpartition("/")[2] for row in rows[:-1]}


def test_what_is_wrong_is_shown_with_its_cause() -> None:
    rows = run_canaries(Careless(None, passed=False, error="worker_lost: [the] machine\nis gone"), modes=["stdio"])
    told = io.StringIO()
    assert show(rows, Console(file=told, width=200)) == 1
    assert "WRONG program/stdio: an error, not AC 2: worker_lost: [the] machine is gone" in told.getvalue()
    assert summary(rows) == [f"programs judged right: 0 of {len(rows)}"]
    assert show([], Console(file=told)) == 1

"""The sandbox is asked about programs whose verdict is known."""

import pytest

from cpp_pipeline.defs.checks import row_checks
from cpp_pipeline.defs.sandbox import sandbox_canaries
from cpp_pipeline.sandbox import canaries
from cpp_pipeline_tests.defs.support import Bench


def test_canaries_are_judged_by_the_real_sandbox(judging: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = {name: canaries.PROGRAMS[name] for name in ("sum", "constant", "undeclared")}
    attacks = {name: canaries.ATTACKS[name] for name in ("_exit_in_function", "define_main")}
    # The others are slow on purpose; the sandbox's own tests run them all.
    monkeypatch.setattr(canaries, "PROGRAMS", programs)
    monkeypatch.setattr(canaries, "ATTACKS", attacks)
    made = judging.in_memory(sandbox_canaries)["sandbox_canaries"]
    assert dict(made.filter(kind="program").select("canary_id", "verdict").rows()) == {
        "program/sum": "AC",
        "program/constant": "PA",
        "program/undeclared": "CE",
    }
    assert made.filter(kind="attack").height == 2
    assert made["ok"].all()


def test_a_wrong_verdict_is_not_believed(judging: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {"sum": ("WA", canaries.PROGRAMS["sum"][1])}
    monkeypatch.setattr(canaries, "PROGRAMS", wrong)
    monkeypatch.setattr(canaries, "ATTACKS", {})
    check = next(c for c in row_checks if "sandbox_is_right" in {k.name for k in c.check_keys})
    result = judging.run([sandbox_canaries, check], raise_on_error=False)
    assert not result.success
    assert [e.passed for e in result.get_asset_check_evaluations()] == [False]

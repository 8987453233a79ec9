"""The sandbox is asked about programs whose verdict is known, and nobody believes it before."""

from __future__ import annotations

from dataclasses import replace

import dagster as dg
import pytest

from cpp_pipeline.defs import sandbox
from cpp_pipeline.defs.sandbox import sandbox_canaries
from cpp_pipeline.models.presets import preset
from cpp_pipeline.sandbox.canaries import run
from cpp_pipeline_tests.defs.support import Bench
from cpp_pipeline_tests.defs.test_definitions import check_of


def few(monkeypatch: pytest.MonkeyPatch, programs: set[str], attacks: set[str]) -> None:
    """Only some canaries: many are slow on purpose, and the sandbox's own tests run them all."""
    monkeypatch.setattr(run, "PROGRAMS", [p for p in run.PROGRAMS if p.name in programs])
    monkeypatch.setattr(run, "ATTACKS", [a for a in run.ATTACKS if a.name in attacks])
    monkeypatch.setattr(run, "in_every_mode", lambda: iter(()))
    monkeypatch.setattr(run, "FOOLED_AT_LEAST", len(attacks))


def test_only_the_smallest_preset_judges_attacks_in_turn_and_without_the_control() -> None:
    assert [name for name in ("smoke", "tiny", "d4", "d8", "d16") if not preset(name).every_canary] == ["smoke"]
    assert set(run.MODES) - set(sandbox.JUDGED) == {"exit_code"}  # tests load the smallest preset
    assert sandbox.IN_TURN


def test_canaries_are_judged_by_the_real_sandbox(judging: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    few(monkeypatch, {"sum", "constant", "undeclared_name"}, {"exit_underscore", "define_assert"})
    monkeypatch.setattr(sandbox, "JUDGED", run.MODES)
    monkeypatch.setattr(sandbox, "IN_TURN", False)
    made = judging.in_memory(sandbox_canaries)["sandbox_canaries"]
    assert dict(made.filter(kind="program").select("canary_id", "verdict").rows()) == {
        "program/sum": "AC",
        "program/constant": "PA",
        "program/undeclared_name": "CE",
    }
    assert made.filter(kind="attack").height == 4
    assert made.filter(kind="attack")["exit_code"].to_list() == ["AC"] * 4
    assert made.filter(kind="control")["tests_passed"].to_list() == [2]
    assert made["ok"].all()


def test_a_wrong_verdict_is_not_believed(judging: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    few(monkeypatch, {"sum"}, set())
    monkeypatch.setattr(run, "PROGRAMS", [replace(p, verdict="WA") for p in run.PROGRAMS])
    check = check_of("sandbox_canaries", "sandbox_is_right")

    @dg.asset(deps=["sandbox_canaries"])
    def believer() -> None:
        """Uses verdicts."""

    result = judging.run([sandbox_canaries, believer, check], raise_on_error=False)
    assert not result.success
    assert [e.passed for e in result.get_asset_check_evaluations()] == [False]
    assert "believer" not in {e.asset_key.to_user_string() for e in result.get_asset_materialization_events()}

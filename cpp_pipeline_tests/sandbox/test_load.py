"""Proofs under load: hostile programs leave nothing, an overloaded controller refuses and never lies, a restart is
not noticed. The benchmark measures the same with larger numbers."""

from __future__ import annotations

import pytest

from benchmarks import sandbox_leftovers, sandbox_overload, sandbox_restart

pytestmark = pytest.mark.slow
WORKERS = 2


def test_hostile_programs_leave_nothing_behind() -> None:
    found = sandbox_leftovers.judged([80, 40], WORKERS)
    assert found.errors == []
    assert found.after == found.before
    assert (found.stopped.processes, found.stopped.files, found.stopped.groups) == (0, 0, 0)
    verdicts = {name.split()[0]: name.split()[1] for name in found.verdicts}
    assert verdicts.keys() >= {"fork_bomb", "memory_bomb", "endless_output", "orphan", "endless_loop"}
    assert verdicts["memory_bomb"] == "MLE"
    assert verdicts["endless_output"] == "OLE"
    assert verdicts["endless_loop"] == "TLE"


def test_an_overloaded_controller_answers_everything_and_scores_no_error() -> None:
    report, _ = sandbox_overload.overload(WORKERS, seconds=10.0, warm_up=12)
    assert report.broken == []
    assert report.false_scores == []
    assert report.refused > 0, "there was no overload"
    assert report.verdicts > 0
    assert report.verdicts + report.errors + report.refused == report.sent


def test_a_controller_that_is_killed_mid_batch_changes_nothing() -> None:
    found = sandbox_restart.interrupted(WORKERS, count=30, kill_after=8)
    assert found.before < 30, "the batch was over before the controller was killed"
    assert found.disturbed == found.undisturbed
    assert {verdict for verdict, _ in found.undisturbed.values()} == {"AC", "WA", "PA", "CE", "RE"}
    assert set(found.told.values()) == {1}
    assert found.told.keys() == found.undisturbed.keys()

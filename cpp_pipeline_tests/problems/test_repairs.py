from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cpp_pipeline.problems.family import generate
from cpp_pipeline.problems.judging import SandboxTrouble
from cpp_pipeline.problems.repairs import near_misses, repair_rows
from cpp_pipeline.problems.verify import REFERENCE_FAILS, verified
from cpp_pipeline.sandbox.types import Job, Result
from cpp_pipeline.schemas import TABLES


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return generate(8, 0, seed=0)[0]


def test_repair_rows_and_near_misses(client: Any, rows: list[dict[str, Any]]) -> None:
    problems = TABLES["train_problems"].frame(rows)
    repairs = repair_rows(problems, client, 6, 0)
    assert TABLES["repair_rows"].violations(repairs) == {}
    found = repairs.collect().to_dicts()
    assert len(found) >= 6
    by_id = {r["problem_id"]: r for r in rows}
    for row in found:
        assert row["tests_passed"] < row["tests_total"]
        assert row["after"] == by_id[row["problem_id"]]["reference"] != row["before"]
        assert json.loads(row["failing_test"])["verdict"] != "AC"
    misses = near_misses(problems, client, 8, 0)
    assert TABLES["near_misses"].violations(misses) == {}
    for row in misses.collect().to_dicts():
        assert 0 < row["tests_total"] - row["tests_passed"] <= row["tests_total"] / 5


def test_verified_keeps_what_is_right(client: Any, rows: list[dict[str, Any]], tmp_path: Path) -> None:
    right, partly, wrong = rows[0], dict(rows[1]), dict(rows[2])
    broken = "int solve(const std::vector<int>& v) {\n    return 12345;\n}\n"
    partly["references"] = [partly["reference"], broken]
    wrong["reference"], wrong["references"] = broken, [broken]
    untested = {**rows[3], "tests": "[]", "n_tests": 0}
    frame = TABLES["train_problems"].frame([right, partly, wrong, untested])
    kept, quarantine = verified(frame, client, tmp_path)
    found = {r["problem_id"]: r for r in kept.collect().to_dicts()}
    assert list(found) == [right["problem_id"], partly["problem_id"], untested["problem_id"]]
    assert found[right["problem_id"]] == right
    assert found[partly["problem_id"]]["references"] == [partly["reference"]]
    refused = quarantine.collect().to_dicts()
    assert [(q["row_id"], q["reason"]) for q in refused] == [(wrong["problem_id"], REFERENCE_FAILS)]
    assert wrong["provenance"] in refused[0]["detail"]


def test_an_unusable_problem_is_refused_and_the_others_are_judged(
    client: Any, rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    unusable = {**rows[1], "preamble": "#include <no_such_header_at_all>\n"}
    foreign = {**rows[2], "signature": "int solve(const Foo* v)"}
    frame = TABLES["train_problems"].frame([rows[0], unusable, foreign])
    kept, quarantine = verified(frame, client, tmp_path)
    assert kept.collect()["problem_id"].to_list() == [rows[0]["problem_id"]]
    refused = {q["row_id"]: q for q in quarantine.collect().to_dicts()}
    assert set(refused) == {unusable["problem_id"], foreign["problem_id"]}
    assert {q["reason"] for q in refused.values()} == {REFERENCE_FAILS}
    assert "no_such_header_at_all" in refused[unusable["problem_id"]]["detail"]
    assert "Foo" in refused[foreign["problem_id"]]["detail"]
    # Where such a row comes to mutation, it is skipped.
    repaired = repair_rows(frame, client, 9, 0).collect()
    assert set(repaired["problem_id"]) == {rows[0]["problem_id"]}


class _BrokenClient:
    """Answers every job with trouble of its own, as a controller that lost its sandbox does."""

    def batch_verify(self, jobs: list[Job]) -> list[Result]:
        return [Result(j.id, None, None, None, len(j.test_cases), error="no box") for j in jobs]


def test_trouble_of_the_sandbox_is_no_verdict(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    with pytest.raises(SandboxTrouble, match="no box"):
        verified(TABLES["train_problems"].frame(rows[:1]), _BrokenClient(), tmp_path)  # type: ignore[arg-type]

from __future__ import annotations

import re
from typing import Any

import pytest

from cpp_pipeline.problems.cmake_projects import CORES, EXTRAS, HELD_OUT, generate, verify_projects
from cpp_pipeline.schemas import TABLES


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return generate(160, 24, seed=0)


def _words(row: dict[str, Any]) -> set[str]:
    names = re.findall(r"project\((\w+)", row["reference"]) + [t.split(":")[1] for t in row["targets"]]
    return {re.sub(r"_(app|test)$", "", name) for name in names}


def test_split_by_names_and_combinations(rows: list[dict[str, Any]]) -> None:
    train = [r for r in rows if r["split"] == "train"]
    evaluation = [r for r in rows if r["split"] == "eval"]
    assert (len(train), len(evaluation)) == (160, 24)
    assert not set().union(*map(_words, train)) & set().union(*map(_words, evaluation))
    assert not {r["split_key"] for r in train} & HELD_OUT
    assert {r["split_key"] for r in evaluation} >= HELD_OUT
    assert len({r["split_key"] for r in train}) == len(CORES) * len(EXTRAS) - len(HELD_OUT)


def test_rows_are_complete(rows: list[dict[str, Any]]) -> None:
    table = TABLES["cmake_problems"]
    assert table.violations(table.frame([{**r, "configure_ok": True} for r in rows])) == {}
    for row in rows:
        assert row["reference"].count("\n") <= 14
        paths = {f["path"] for f in row["files"]}
        named = set(re.findall(r"[\w/]+\.cpp", row["reference"]))
        assert named == {p for p in paths if p.endswith(".cpp")}
        # All that the answer needs and that no rule gives is in the request.
        missing = [p for p in named if p not in row["instruction"]]
        missing += [t for t in row["targets"] if t.split(":")[1] not in row["instruction"]]
        assert missing == []


def test_same_seed_same_rows(rows: list[dict[str, Any]]) -> None:
    assert generate(160, 24, seed=0) == rows
    assert generate(0, 24, seed=5) == rows[160:]
    assert generate(0, 4, seed=5) == rows[160:164]
    assert generate(10, 0, seed=5) != rows[:10]


def test_references_configure_and_build(client: Any, rows: list[dict[str, Any]]) -> None:
    one_each = {r["split_key"]: r for r in rows}
    # Every core and every extra once; each part of a project depends on one of the two alone.
    chosen = [one_each[f"{core}+{EXTRAS[i % len(EXTRAS)]}"] for i, core in enumerate(CORES)]
    judged = verify_projects(chosen, client, build=True)
    assert [r["split_key"] for r in judged if not r["configure_ok"]] == []
    forgotten = {**chosen[0], "targets": ["executable:other"]}
    assert not verify_projects([forgotten], client)[0]["configure_ok"]

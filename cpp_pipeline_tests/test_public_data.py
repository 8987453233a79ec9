"""Tests that read public data find them where one variable says, and say so when they skip."""

from __future__ import annotations

from pathlib import Path

import pytest

from cpp_pipeline_tests.public_data import VARIABLE, public_data, public_path

TESTS = Path(__file__).parent


def test_the_variable_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    (tmp_path / "problems.jsonl").touch()
    assert public_data("problems.jsonl") == tmp_path / "problems.jsonl"
    with pytest.raises(pytest.skip.Exception, match=f"{VARIABLE} names the folder that holds others.jsonl"):
        public_data("others.jsonl")


def test_without_it_the_folder_beside_the_checkout_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert public_path("problems.jsonl") == TESTS.parents[1] / "shared" / "data" / "problems.jsonl"


def test_no_test_knows_another_place() -> None:
    own = {"public_data.py", "test_public_data.py"}
    found = [path.name for path in TESTS.rglob("*.py") if path.name not in own and "shared/data" in path.read_text()]
    assert found == []

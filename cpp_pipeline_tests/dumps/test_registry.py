"""Names and kinds of dumps."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpp_pipeline.dumps.registry import check_name, detect_kind


@pytest.mark.parametrize("name", ["a", "fmt-10.1", "A_b.c", "x" * 100])
def test_good_names_pass(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "a/b", ".hidden", "-x", "a b", "ü", "x" * 101, "a\n", "../up"])
def test_bad_names_name_the_rule_and_a_better_name(name: str) -> None:
    with pytest.raises(ValueError, match="not allowed") as error:
        check_name(name)
    better = re.search(r"for example '([^']+)'", str(error.value))
    assert better is not None
    assert check_name(better[1]) == better[1]


@given(st.text(max_size=120))
def test_a_name_is_accepted_exactly_by_the_rule(name: str) -> None:
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        assert check_name(name) == name
    else:
        with pytest.raises(ValueError, match="for example"):
            check_name(name)


@pytest.mark.parametrize(
    ("file", "kind"),
    [("a.tar.xz", "archive"), ("a.ZIP", "archive"), ("a.jsonl.gz", "jsonl"), ("a.parquet", "parquet")],
)
def test_kinds_of_files(tmp_path: Path, file: str, kind: str) -> None:
    (tmp_path / file).touch()
    assert detect_kind(tmp_path / file) == kind
    assert detect_kind(tmp_path) == "folder"


def test_a_missing_path_and_an_unknown_file_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"does not exist; point the dump at"):
        detect_kind(tmp_path / "nothing")
    (tmp_path / "a.rar").touch()
    with pytest.raises(ValueError, match=r"unknown kind.*\.rar.*point the dump at"):
        detect_kind(tmp_path / "a.rar")

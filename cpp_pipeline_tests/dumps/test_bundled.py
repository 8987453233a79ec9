"""The bundled dump: the same every time, whole, and of use to the later rooms."""

from __future__ import annotations

import json
import re
from pathlib import Path

import polars as pl
import pytest
import tree_sitter_cpp
from tree_sitter import Language, Parser

from cpp_pipeline.dumps import bundled
from cpp_pipeline.dumps.history import read_commits
from cpp_pipeline.dumps.listing import list_dump
from cpp_pipeline.dumps.reading import read_files
from cpp_pipeline.schemas import TABLES


@pytest.fixture(scope="module")
def dump(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundled.build(tmp_path_factory.mktemp("bundled") / "dump")


def test_two_builds_have_the_same_commits(dump: Path, tmp_path: Path, scratch: Path) -> None:
    other = bundled.build(tmp_path / "other")
    heads = json.loads((dump / "manifest.json").read_text())["heads"]
    assert heads == json.loads((other / "manifest.json").read_text())["heads"]
    assert set(heads) == set(bundled.repositories())
    assert list_dump(dump, "b", scratch).collect().equals(list_dump(other, "b", scratch).collect())
    assert [p.name for p in tmp_path.iterdir()] == ["other"]


def test_a_complete_dump_stays_an_old_one_is_replaced_and_foreign_files_are_kept(tmp_path: Path) -> None:
    folder = bundled.build(tmp_path / "d")
    before = folder.stat().st_ino
    assert bundled.build(folder).stat().st_ino == before
    (folder / "manifest.json").write_text('{"name": "bundled", "source_sha256": "old"}')
    assert bundled.build(folder).stat().st_ino != before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.txt").touch()
    with pytest.raises(FileExistsError, match="something else"):
        bundled.build(tmp_path / "mine")


def test_files_and_their_marks(dump: Path, tmp_path: Path) -> None:
    files, bad = (frame.collect() for frame in read_files(dump, "bundled", tmp_path))
    assert TABLES["source_files"].violations(files.lazy()) == {}
    assert len(bad) == 0
    assert len(files) >= 35
    assert set(files["licence"]) == {"Apache-2.0"}
    assert files.filter("is_generated")["path"].to_list() == ["src/generated/small_primes.hpp"]
    assert files.filter("is_vendored")["path"].to_list() == ["third_party/tinyhash/tinyhash.h"]
    assert files["is_test"].sum() == 4
    assert files.filter(pl.col("path") == "CMakeLists.txt").height == 5
    for repo, path, content in files.select("repo", "path", "content").iter_rows():
        assert (dump / repo / path).read_text() == content


def test_history_holds_repairs_of_single_functions_and_vague_commits(dump: Path, tmp_path: Path) -> None:
    commits, bad = (frame.collect() for frame in read_commits(dump, "bundled", tmp_path))
    assert TABLES["commits"].violations(commits.lazy()) == {}
    assert set(bad["reason"]) <= {"first commit", "many files", "no source changed", "not only modified"}
    fixes = commits.filter(pl.col("message").str.contains(r"^(Fix|Prevent) \S+ \S+"))
    assert len(fixes) >= 20
    assert len(commits) - len(fixes) >= 4
    assert commits.filter(pl.col("repo") == "mathkit")["time"].is_sorted(descending=True)


def test_every_earlier_state_parses() -> None:
    parser = Parser(Language(tree_sitter_cpp.language()))
    checked: set[str] = set()
    for repo in bundled.repositories():
        for step in bundled.steps(repo):
            for path, text in step.files.items():
                if path.endswith((".cpp", ".hpp", ".h")) and text not in checked:
                    checked.add(text)
                    assert not parser.parse(text.encode()).root_node.has_error, (repo, step.message, path)
    assert len(checked) > 60


def test_there_are_enough_documented_free_functions_on_standard_types() -> None:
    plain = r"(const )?(int|bool|double|long long|std::string|std::vector<(int|double|std::string)>)&?"
    documented = re.compile(
        rf"(?:^///.*\n|^//!.*\n|^ \*/\n)(?:inline )?(?:[\w:<>, ]+?) (\w+)\((?:{plain} \w+(?:, )?)+\)", re.M
    )
    found: set[str] = set()
    for repo in ("mathkit", "pixelbox", "units"):
        for path, text in bundled.steps(repo)[-1].files.items():
            if path.endswith((".cpp", ".hpp")) and not path.startswith("legacy"):
                found |= {m[1] for m in documented.finditer(text)}
    assert len(found) >= 50

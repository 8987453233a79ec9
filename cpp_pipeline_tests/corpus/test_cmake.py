"""What the CMake specialist learns: accepted rows, none of which a held-out project asks or answers."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from cpp_pipeline.corpus.cmake import combined_cmake, normalised
from cpp_pipeline.schemas import TABLES

REFERENCE = 'cmake_minimum_required(VERSION 3.20)\nproject(pen LANGUAGES CXX)\nadd_executable(pen "main.cpp")\n'


def problem(name: str, split: str, **values: Any) -> dict[str, Any]:
    made = {"split_key": "k", "instruction": f"Build {name}.", "files": [], "targets": [], "configure_ok": True}
    return {"problem_id": f"cmake/{name}", "split": split, "reference": f"project({name})\n", **made, **values}


def dumped(number: int, response: str = "", **values: Any) -> dict[str, Any]:
    made = {"dump": "demo", "repo": "r", "path": f"{number}/CMakeLists.txt", "licence": "MIT", "stage": "configure"}
    made |= {"instruction": f"Do {number}.", "configure_ok": True, "build_ok": None, "targets": []}
    return {"row_id": str(number), "response": response or f"project(p{number})\n", **made, **values}


def learned(rows: list[dict[str, Any]], problems: list[dict[str, Any]]) -> pl.DataFrame:
    found = combined_cmake(TABLES["cmake_sft"].frame(rows), TABLES["cmake_problems"].frame(problems))
    assert TABLES["combined_cmake"].violations(found) == {}
    return found.collect()


def test_rows_of_dumps_come_first_then_generated_ones_and_none_that_cmake_refused() -> None:
    rows = [dumped(2), dumped(1), dumped(3, configure_ok=False)]
    problems = [problem("b", "train"), problem("a", "train"), problem("c", "train", configure_ok=False)]
    found = learned(rows, [*problems, problem("d", "eval")])
    assert found["row_id"].to_list() == ["1", "2", "cmake/a", "cmake/b"]
    assert found["source"].to_list() == ["dump", "dump", "generated", "generated"]
    assert found["provenance"].to_list() == ["demo:r:1/CMakeLists.txt", "demo:r:2/CMakeLists.txt", "cmake/a", "cmake/b"]
    assert found["licence"].to_list() == ["MIT", "MIT", None, None]


def test_of_equal_rows_one_stays() -> None:
    rows = [dumped(n, "project(p)\n", instruction="Build it.") for n in (1, 2)]
    assert learned(rows, [])["row_id"].to_list() == ["1"]


@pytest.mark.parametrize("split", ["train", "eval"])
@pytest.mark.parametrize(
    "values",
    [
        {"instruction": "Build pen."},
        {"instruction": " build  PEN.\n"},
        {"response": REFERENCE},
        {"response": "# ours\n" + REFERENCE.replace('"', "").replace("\n", "\n\n").replace("project(", "PROJECT( ")},
    ],
)
def test_what_a_held_out_project_asks_or_answers_is_not_learned(split: str, values: dict[str, str]) -> None:
    rows = [dumped(1, **values), dumped(2)]
    found = learned(rows, [problem("pen", split, reference=REFERENCE)])["row_id"].to_list()
    assert found == (["2"] if split == "eval" else ["1", "2", "cmake/pen"])


def test_a_text_is_normalised_to_what_cmake_reads() -> None:
    text = '# a\nProject( pen  LANGUAGES CXX) #[[ b ]]\nset(X "a b")\n'
    assert normalised(text) == "project pen LANGUAGES CXX\nset X a b"
    assert normalised("project(pen languages CXX)") != normalised("project(pen LANGUAGES CXX)")
    assert normalised("no ( cmake\n at   all") == "no ( cmake at all"

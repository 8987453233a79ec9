"""Documented functions, repairs and CMake projects, each held to a verdict where there is one."""

from collections.abc import Mapping

import polars as pl
import pytest

from cpp_pipeline.defs.pairs import cmake_packages, cmake_problems, cmake_sft, diff_sft, docstring_pairs
from cpp_pipeline.defs.resources import PRESET
from cpp_pipeline.extract.edits import edited
from cpp_pipeline_tests.defs.support import Bench, frame, row

AREA = """#include <vector>

/// Returns the area of a rectangle with the given width and height.
int area(int width, int height) {
    int result = width * height;
    return result;
}

int undocumented(int x) {
    return x + 1;
}
"""
LISTS = """cmake_minimum_required(VERSION 3.16)
project(drawing CXX)
find_package({package} REQUIRED)
add_executable(draw main.cpp)
target_link_libraries(draw PRIVATE {package}::{package})
"""


def files(dump: str, texts: Mapping[str, str]) -> pl.DataFrame:
    """Rows of clean_files."""
    kinds = {True: "cmake", False: "cpp"}
    given = {"dump": dump, "repo": ".", "licence": "MIT"}
    return frame(
        "clean_files",
        *(
            row("clean_files", path=p, content=text, language=kinds[p.endswith("CMakeLists.txt")], **given)
            for p, text in texts.items()
        ),
    )


def test_a_documented_function_becomes_a_pair(bench: Bench) -> None:
    made = bench.in_memory(docstring_pairs, inputs={"clean_files": files("one", {"area.cpp": AREA})}, partition="one")
    assert made["docstring_pairs"].select("dump", "path", "line", "name", "signature", "licence").rows() == [
        ("one", "area.cpp", 4, "area", "int area(int width, int height)", "MIT")
    ]
    pair = made["docstring_pairs"].row(0, named=True)
    assert pair["doc"] == "Returns the area of a rectangle with the given width and height."
    assert pair["body"] in pair["code"]
    assert pair["code"] in AREA


def test_a_near_duplicate_is_quarantined(bench: Bench) -> None:
    lines = "".join(f"    total += values[{i}] * {i};\n" for i in range(40))
    text = "/// Weighs the first forty values.\nint weigh(const int* values) {{\n    int total = {start};\n{lines}"
    text += "    return total;\n}}\n"
    given = {f"{start}.cpp": text.format(start=start, lines=lines) for start in (0, 1)}
    made = bench.in_memory(docstring_pairs, inputs={"clean_files": files("one", given)}, partition="one")
    assert made["docstring_pairs"]["path"].to_list() == ["0.cpp"]
    assert made["docstring_pairs_quarantine"]["reason"].to_list() == ["near duplicate"]


def test_a_fixing_commit_becomes_a_repair_of_one_function(bench: Bench) -> None:
    after = AREA.replace("width * height", "width * height * 1 + 0")
    commit = row(
        "commits",
        path="area.cpp",
        message="Fix wrong area of a rectangle",
        before=AREA,
        after=after,
        repo=".",
        commit="c1",
    )
    collected = row("repairs", dump="one", place="a.jsonl:7", title="Fix area for ann@example.com", after=AREA)
    inputs = {
        "commits": frame("commits", {**commit, "dump": "one", "n_files": 1}),
        "repairs": frame("repairs", {**collected, "before": after}),
    }
    made = bench.in_memory(diff_sft, inputs=inputs, partition="one")["diff_sft"]
    assert made.select("dump", "commit", "function", "is_fix", "n_redacted").rows() == [
        ("one", "c1", "area", True, 0),
        ("one", "a.jsonl:7", "area", True, 2),
    ]
    repair = made.row(0, named=True)
    assert "width * height;" in repair["before"]
    assert "* 1 + 0;" in repair["after"]
    assert "undocumented" not in repair["after"]
    assert edited(repair["before"], repair["edits"]) == repair["after"]
    assert made["instruction"][1] == "Fix area for <EMAIL>."


@pytest.mark.parametrize("dumps", [(), ("one",), ("one", "two")])
def test_packages_are_joined_over_dumps(bench: Bench, dumps: tuple[str, ...]) -> None:
    names = {"one": "Pencil", "two": "Brush"}
    given = {d: {"clean_files": files(d, {"CMakeLists.txt": LISTS.format(package=names[d])})} for d in dumps}
    found = bench.stored(cmake_packages, given).scan("cmake_packages").collect()
    assert set(found.select("package", "target", "origin").rows()) == {
        (names[d], f"{names[d]}::{names[d]}", f"{d}:.:CMakeLists.txt") for d in dumps
    }


def test_cmake_files_are_configured_by_the_real_cmake(judging: Bench) -> None:
    given = {
        "CMakeLists.txt": LISTS.format(package="Pencil"),
        "main.cpp": "int main() { return 0; }\n",
        "lost/CMakeLists.txt": "cmake_minimum_required(VERSION 3.16)\nproject(lost CXX)\nadd_executable(x none.cpp)\n",
        "part/CMakeLists.txt": "target_sources(draw PRIVATE part.cpp)\n",
    }
    made = judging.in_memory(cmake_sft, inputs={"clean_files": files("one", given)}, partition="one")
    good = made["cmake_sft"].row(0, named=True)
    assert made["cmake_sft"].height == 1
    assert (good["path"], good["configure_ok"], good["targets"]) == ("CMakeLists.txt", True, ["executable:draw"])
    assert "Pencil" in good["instruction"]
    assert dict(made["cmake_sft_quarantine"].select("row_id", "reason").rows()) == {
        ".:lost/CMakeLists.txt": "failed at configure",
        ".:part/CMakeLists.txt": "not self-contained",
    }


def test_generated_projects_configure_and_are_split(judging: Bench) -> None:
    made = judging.in_memory(cmake_problems)["cmake_problems"]
    assert dict(made.group_by("split").len().rows()) == {"train": PRESET.cmake_train, "eval": PRESET.cmake_eval}
    assert made["configure_ok"].all()
    assert made["targets"].list.len().min() >= 1  # type: ignore[operator]

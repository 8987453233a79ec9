"""From files of a dump to documented functions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cpp_pipeline.extract.pairs import docstring_pairs
from cpp_pipeline.schemas import TABLES
from cpp_pipeline_tests.extract.rows import clean_file

HEADER = """#pragma once
#define API __attribute__((visibility("default")))
namespace n {
class API Box {
 public:
  /// Adds a weight to the box and returns the new total.
  /// @param weight grams to add
  int add(int weight);
  int total_ = 0;
};
/// Doubles the value that is handed in.
int twice(int value);
/// Halves the value that is handed in.
int twice(long value);
}
"""
SOURCE = """#include "box.h"
namespace n {
int Box::add(int weight) {
  total_ += weight;
  return total_;
}

// Weighs the box when it is full, in grams.
static int full_weight(const Box& box) { return box.total_ + 1000; }

int twice(T value) { return value + value; }

int undocumented(int a) { return a * 17 + 4; }

/// Short.
int shorty(int a) { return a * 17 + 5; }

/// Weighs the box when it is full, in grams and kilograms.
static int full_weight(const Box& box) { /* same tokens */ return box.total_ + 1000; }
}
"""
FILES = [clean_file("include/box.h", HEADER), clean_file("src/box.cpp", SOURCE)]


def run(rows: list[dict[str, Any]], scratch: Path, workers: int = 0) -> tuple[pl.DataFrame, pl.DataFrame]:
    pairs, bad = docstring_pairs(TABLES["clean_files"].frame(rows), "d", scratch, workers)
    assert TABLES["docstring_pairs"].violations(TABLES["docstring_pairs"].conform(pairs)) == {}
    TABLES["docstring_pairs_quarantine"].conform(bad)
    return pairs.collect(), bad.collect()


def test_own_and_joined_documentation(tmp_path: Path) -> None:
    pairs, bad = run(FILES, tmp_path)
    rows = {r["qualified_name"]: r for r in pairs.to_dicts()}
    assert rows.keys() == {"n::Box::add", "n::full_weight"}
    joined = rows["n::Box::add"]
    assert (joined["origin"], joined["doc_path"], joined["doc_line"]) == ("joined", "include/box.h", 6)
    assert joined["brief"] == "Adds a weight to the box and returns the new total."
    assert joined["doc_params"] == ["weight"]
    assert (joined["path"], joined["line"], joined["end_line"]) == ("src/box.cpp", 3, 6)
    assert joined["signature"] + " {" + joined["body"] + "}" == joined["code"]
    assert joined["licence"] == "MIT"
    assert rows["n::full_weight"]["origin"] == "own"
    assert dict(bad.select("reason", "detail").iter_rows()) == {
        "ambiguous declaration": "r:src/box.cpp:11: several declarations fit: include/box.h:11, include/box.h:13",
        "short": "r:src/box.cpp:16: 1 words",
        "duplicate": "r:src/box.cpp:19: same tokens as an earlier function",
    }


STRUCTURED = """struct Shelf { int boards; };
int height_of(const Shelf& shelf);
/// Puts a box on the shelf and tells where it stands.
/// @param box what to put there
/// @param shelf the shelf that is filled
/// @tparam T kind of box
/// @return place on the board
/// @throws std::length_error the shelf is full
/// @note Boxes stay where they are.
template <class T> int put(T& box, Shelf& shelf) { return add_board(shelf) + box.size(); }
static int add_board(Shelf& shelf) { return ++shelf.boards; }
"""


def test_documentation_by_parts_and_what_the_function_uses(tmp_path: Path) -> None:
    pairs, _ = run([clean_file("shelf.cpp", STRUCTURED)], tmp_path)
    row = pairs.row(0, named=True)
    assert (row["doc_params"], row["doc_tparams"]) == (["box", "shelf"], ["T"])
    assert row["doc_param_texts"] == ["what to put there", "the shelf that is filled"]
    assert row["doc_returns"] == "place on the board"
    assert row["doc_throws"] == ["std::length_error the shelf is full"]
    assert row["doc_notes"] == ["Boxes stay where they are."]
    assert row["uses"] == ["struct Shelf", "static int add_board(Shelf& shelf)"]


def test_a_joined_function_uses_what_stands_in_its_own_file(tmp_path: Path) -> None:
    source = SOURCE.replace("namespace n {", "namespace n {\nstruct Weight { int grams; };", 1)
    source = source.replace("total_ += weight;", "total_ += Weight{weight}.grams;")
    pairs, _ = run([FILES[0], clean_file("src/box.cpp", source)], tmp_path)
    uses = dict(pairs.select("qualified_name", "uses").iter_rows())
    assert uses["n::Box::add"] == ["struct Weight"]


def test_repositories_whose_files_are_mixed_keep_their_macros(tmp_path: Path) -> None:
    defines = [clean_file(f"{name}.h", f"#define {name.upper()}_API\n", repo=name) for name in ("one", "two")]
    text = "class {0}_API Cup {{\n  /// Fills {1} up to the brim again.\n  int fill() {{ return {1} = full; }}\n}};\n"
    users = [clean_file(f"{name}.cpp", text.format(name.upper(), name), repo=name) for name in ("one", "two")]
    pairs, _ = run([users[0], defines[1], users[1], defines[0]], tmp_path)
    assert sorted(pairs["qualified_name"]) == ["Cup::fill", "Cup::fill"]


def test_a_definition_inside_its_class_joins_nothing(tmp_path: Path) -> None:
    text = "struct Cup {\n  /// Fills the cup up to the brim again.\n  int fill(int level);\n"
    inside = text + "  int fill(long level) { return level + full; }\n};\n"
    outside = text + "};\nint Cup::fill(long level) { return level + full; }\n"
    for source, names in ((inside, []), (outside, ["Cup::fill"])):
        pairs, _ = run([clean_file("cup.h", source)], tmp_path / str(len(names)))
        assert pairs["qualified_name"].to_list() == names


def test_processes_give_the_same(tmp_path: Path) -> None:
    one, other = run(FILES, tmp_path / "a"), run(FILES, tmp_path / "b", workers=2)
    assert one[0].equals(other[0])
    assert one[1].equals(other[1])


@pytest.mark.parametrize("rows", [[], [clean_file("CMakeLists.txt", "project(x)")]])
def test_nothing_to_read(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    pairs, bad = run(rows, tmp_path)
    assert pairs.height == bad.height == 0


def test_files_out_of_bounds_are_told(tmp_path: Path) -> None:
    pairs, bad = run([clean_file("deep.cpp", "{" * 5_000), *FILES], tmp_path)
    assert pairs.height == 2
    assert bad["reason"][0] == "unreadable file"
    assert "r:deep.cpp: nested 5000 deep" in bad["detail"][0]


def test_macros_of_another_repository_do_not_count(tmp_path: Path) -> None:
    user = "class API Cup {\n  /// Fills the cup up to the brim again.\n  int fill() { return level = full; }\n};\n"
    define = clean_file("m.h", "#define API inline\n")
    alone, _ = run([clean_file("cup.h", user), define | {"repo": "other"}], tmp_path / "a")
    together, _ = run([clean_file("cup.h", user), define], tmp_path / "b")
    assert together["qualified_name"].to_list() == ["Cup::fill"]
    assert alone["qualified_name"].to_list() != ["Cup::fill"]

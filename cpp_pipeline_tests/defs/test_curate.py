"""Files worth learning from are kept; every other one has a reason."""

import polars as pl

from cpp_pipeline.defs.curate import clean_files
from cpp_pipeline_tests.defs.support import Bench, frame, row

CODE = "int {name}(int value) {{\n    int twice = value * 2;\n    return twice;\n}}\n"


def test_every_file_is_kept_or_dropped_with_its_reason(bench: Bench) -> None:
    common = {"dump": "one", "repo": ".", "licence": "MIT", "language": "cpp", "size_bytes": 70}

    def file(path: str, **values: object) -> dict[str, object]:
        return row("source_files", path=path, **{**common, "content": CODE.format(name=path[0]), **values})

    source = frame(
        "source_files",
        file("a.cpp"),
        file("b.cpp", content=CODE.format(name="a")),
        file("c.cpp", licence="GPL-3.0-only"),
        file("d.cpp", licence=None),
        file("e.cpp", is_test=True),
        file("f.cpp", is_vendored=True),
        file("g.cpp", is_generated=True),
        file("h.cpp", content="int h;\n"),
    )
    found = bench.in_memory(clean_files, inputs={"source_files": source}, partition="one")
    assert found["clean_files"]["path"].to_list() == ["a.cpp"]
    assert dict(found["dropped_files"].select("path", "reason").rows()) == {
        "b.cpp": "duplicate",
        "c.cpp": "licence",
        "d.cpp": "licence",
        "e.cpp": "test",
        "f.cpp": "vendored",
        "g.cpp": "generated",
        "h.cpp": "too small",
    }


def test_an_empty_dump_gives_two_empty_tables(bench: Bench) -> None:
    found = bench.in_memory(clean_files, inputs={"source_files": frame("source_files")}, partition="one")
    assert (found["clean_files"].height, found["dropped_files"].height) == (0, 0)


def test_no_file_of_the_bundled_dump_is_lost(bundled: dict[str, pl.DataFrame], bench: Bench) -> None:
    given = {"source_files": bundled["source_files"]}
    found = bench.in_memory(clean_files, inputs=given, partition="bundled")
    assert found["clean_files"].height + found["dropped_files"].height == bundled["source_files"].height
    assert {"test", "vendored", "generated"} <= set(found["dropped_files"]["reason"])

"""Dumps in a bucket: read as local ones are, and a change is seen whoever made it."""

from __future__ import annotations

from pathlib import Path

from cpp_pipeline.dumps.listing import list_dump
from cpp_pipeline.dumps.reading import read_files
from cpp_pipeline.storage.dumps import fingerprint
from cpp_pipeline.storage.place import at

FILES = {"one/src/a.cc": "int a;\n", "one/src/deep/b.h": "int b;\n", "two/c.cpp": "int c;\n", "two/README": "text\n"}


def test_a_dump_in_a_bucket_reads_as_a_local_one(bucket: str, tmp_path: Path) -> None:
    for name, text in FILES.items():
        for place in (f"{bucket}/in/dump", f"{tmp_path}/dump"):
            at(f"{place}/{name}").write(text.encode())
    far, near = f"{bucket}/in/dump", str(tmp_path / "dump")
    (tmp_path / "scratch").mkdir()
    read = [read_files(place, "d", tmp_path / "scratch")[0].collect() for place in (far, near)]
    assert read[0].equals(read[1]) and read[0].height >= 3
    listed = [list_dump(place, "d", tmp_path / "scratch").collect()["path"].to_list() for place in (far, near)]
    assert listed[0] == listed[1]


def test_a_change_by_another_process_is_seen(bucket: str) -> None:
    at(f"{bucket}/dump/a.cc").write(b"int a;\n")
    seen = [fingerprint(f"{bucket}/dump")]
    for name, text in (("b.cc", b"int b;\n"), ("a.cc", b"int c;\n")):
        at(f"{bucket}/dump/{name}").write(text)
        seen.append(fingerprint(f"{bucket}/dump"))
    assert len(set(seen)) == 3

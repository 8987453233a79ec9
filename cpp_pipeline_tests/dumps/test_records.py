"""Tables under the field names of data sets and of manifests."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from cpp_pipeline.dumps.reading import read_files
from cpp_pipeline.dumps.shards import WHOLE

GOOD = "int good;\n"


def read(path: Path, scratch: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    files, bad = (frame.collect() for frame in read_files(path, "d", scratch))
    return files, bad


def write(folder: Path, *records: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "a.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    return folder


STACK_V1 = {
    "content": GOOD, "lang": "C++", "ext": "cpp", "max_stars_repo_path": "src/a.cpp", "max_stars_repo_name": "u/r",
    "max_stars_repo_licenses": ["MIT", "BSD-3-Clause"], "max_stars_repo_head_hexsha": "c1", "size": 10,
}  # fmt: skip
STACK_V2 = {
    "blob_id": "b1", "path": "/src/a.cpp", "repo_name": "u/r", "detected_licenses": ["Apache-2.0"],
    "license_type": "permissive", "revision_id": "c2", "gha_language": "C++", "language": "C++",
    "is_vendor": False, "is_generated": True, "src_encoding": "UTF-8", "length_bytes": 10,
}  # fmt: skip


@pytest.mark.parametrize("table", ["jsonl", "parquet"])
@pytest.mark.parametrize(
    ("record", "row"),
    [
        (STACK_V1, ("u/r", "src/a.cpp", "cpp", "BSD-3-Clause AND MIT", "c1", False)),
        ({**STACK_V2, "content": GOOD}, ("u/r", "src/a.cpp", "cpp", "Apache-2.0", "c2", True)),
        ({**STACK_V2, "detected_licenses": [], "text": GOOD}, ("u/r", "src/a.cpp", "cpp", None, "c2", True)),
        ({"text": GOOD, "gha_language": "C", "gha_license_id": "mit"}, (".", None, "c", "MIT", None, False)),
    ],
)
def test_the_stack_with_contents(
    record: dict[str, Any], row: tuple[Any, ...], table: str, tmp_path: Path, scratch: Path
) -> None:
    folder = write(tmp_path / "d", record)
    if table == "parquet":
        pl.DataFrame([record]).write_parquet(folder / "a.parquet")
        (folder / "a.jsonl").unlink()
    files, bad = read(folder, scratch)
    assert bad.rows() == []
    found = files.select("repo", "path", "language", "licence", "commit", "is_generated").row(0)
    assert found == tuple(found[1] if i == 1 and v is None else v for i, v in enumerate(row))
    assert found[1].startswith("src/a.cpp" if row[1] else f"a.{table}-00000001")


@pytest.mark.parametrize("table", ["jsonl", "parquet"])
def test_the_stack_by_ids_is_refused_with_what_to_do(table: str, tmp_path: Path, scratch: Path) -> None:
    folder = write(tmp_path / "d", STACK_V2)
    if table == "parquet":
        pl.DataFrame([STACK_V2]).write_parquet(folder / "a.parquet")
        (folder / "a.jsonl").unlink()
    files, bad = read(folder, scratch)
    assert len(files) == 0
    assert bad["reason"].to_list() == ["no text in record" if table == "jsonl" else "no text column"]
    assert "fetch the contents from Software Heritage" in bad["detail"][0]


@pytest.mark.parametrize("table", ["jsonl", "parquet"])
def test_a_row_that_lists_its_files(table: str, tmp_path: Path, scratch: Path) -> None:
    listed = [
        {"path": "/a.cpp", "content": GOOD, "detected_licenses": ["MIT"], "is_vendor": True},
        {"path": "/b.h", "content": "int b(void);\n", "detected_licenses": None, "is_vendor": False},
        {"path": "/c.cpp", "content": None, "detected_licenses": None, "is_vendor": False},
    ]
    record = {"repo_name": "u/r", "revision_id": "c3", "detected_licenses": ["Zlib"], "files": listed}
    folder = write(tmp_path / "d", record)
    if table == "parquet":
        pl.DataFrame([record]).write_parquet(folder / "a.parquet")
        (folder / "a.jsonl").unlink()
    files, bad = read(folder, scratch)
    assert files.select("repo", "path", "language", "licence", "commit", "is_vendored").rows() == [
        ("u/r", "a.cpp", "cpp", "MIT", "c3", True), ("u/r", "b.h", "c_header", "Zlib", "c3", False),
    ]  # fmt: skip
    assert bad.select("row_id", "reason").rows() == [(f"d:a.{table}:1#3", "no text in record")]


def test_a_manifest_maps_fields_and_gives_a_licence(tmp_path: Path, scratch: Path) -> None:
    folder = write(
        tmp_path / "d",
        {"src": GOOD, "where": "x.cc", "project": "p", "content": "not this"},
        {"src": GOOD, "where": "y.cc", "licence": "Zlib"},
    )
    manifest = {"name": "x", "licence": "mit", "fields": {"content": "src", "path": "where"}, "more": 1}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    expected = [("p", "x.cc", "MIT", GOOD), (".", "y.cc", "Zlib", GOOD)]
    files, bad = read(folder, scratch / "folder")
    assert files.select("repo", "path", "licence", "content").rows() == expected
    assert len(bad) == 0
    # Beside a dump that is one file, too.
    files, _ = read(folder / "a.jsonl", scratch / "file")
    assert files.select("repo", "path", "licence", "content").rows() == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [("[1]", "no JSON object"), ('{"licence": 3}', "no text"), ('{"fields": {"code": "x"}}', "maps code; there are")],
)
def test_a_manifest_that_does_not_fit_is_told(text: str, why: str, tmp_path: Path, scratch: Path) -> None:
    folder = write(tmp_path / "d", {"content": GOOD, "path": "a.cc"})
    (folder / "manifest.json").write_text(text)
    files, bad = read(folder, scratch)
    assert len(files) == 1
    assert bad["reason"].to_list() == ["broken manifest"]
    assert why in bad["detail"][0]


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [
        (".gz", gzip.compress),
        (".bz2", bz2.compress),
        (".xz", lambda data: lzma.compress(data) + bytes(8) + lzma.compress(b"")),
        (".zst", lambda data: pa.compress(data, "zstd", asbytes=True)),
    ],
)
def test_packed_lines(suffix: str, pack: Callable[[bytes], bytes], tmp_path: Path, scratch: Path) -> None:
    lines = [json.dumps({"content": f"int a{i};\n", "path": f"{i}.cc"}).encode() for i in range(3000)]
    file = tmp_path / f"a.jsonl{suffix}"
    file.write_bytes(pack(b"\n".join(lines)))
    files, bad = read(file, scratch)
    assert files["path"].to_list() == [f"{i}.cc" for i in range(3000)]
    assert len(bad) == 0


def test_progress_is_told_in_files_and_bytes(tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cpp_pipeline.dumps.progress.SECONDS", 0.0)
    folder = write(tmp_path / "d", *({"content": GOOD, "path": f"{i}.cc"} for i in range(5)))
    told: list[tuple[int, int]] = []
    read_files(folder, "d", scratch, WHOLE, lambda files, size: told.append((files, size)))
    assert told == [(i, 10 * i) for i in (1, 2, 3, 4, 5, 5)]

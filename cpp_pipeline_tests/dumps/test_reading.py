"""Dumps of plain files, records and archives through the public readers."""

from __future__ import annotations

import io
import json
import os
import tarfile
import zipfile
from pathlib import Path

import polars as pl
import pytest

from cpp_pipeline.dumps import archives, spool
from cpp_pipeline.dumps.history import read_commits
from cpp_pipeline.dumps.listing import links_out, list_dump
from cpp_pipeline.dumps.reading import read_files
from cpp_pipeline.schemas import TABLES


def read(path: Path, scratch: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    files, bad = (frame.collect() for frame in read_files(path, "d", scratch))
    TABLES["source_files"].conform(files.lazy())
    assert TABLES["source_files"].violations(files.lazy()) == {}
    TABLES["source_files_quarantine"].conform(bad.lazy())
    return files, bad


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    folder = tmp_path / "dump"
    folder.mkdir()
    return folder


def test_an_empty_folder_is_a_dump_without_files(dump: Path, tmp_path: Path) -> None:
    files, bad = read(dump, tmp_path / "s")
    commits, commits_bad = read_commits(dump, "d", tmp_path / "s")
    assert (len(files), len(bad), len(commits.collect()), len(commits_bad.collect())) == (0, 0, 0, 0)
    assert commits.collect_schema() == TABLES["commits"].schema
    assert len(list_dump(dump, "d", tmp_path / "s").collect()) == 0


def test_bad_paths_and_names_fail_before_anything_is_read(dump: Path, tmp_path: Path) -> None:
    for reader in (read_files, read_commits):
        with pytest.raises(FileNotFoundError, match="does not exist"):
            reader(tmp_path / "nothing", "d", tmp_path / "s")
        with pytest.raises(ValueError, match="no slash"):
            reader(dump, "a/b", tmp_path / "s")
    with pytest.raises(ValueError, match="no slash"):
        list_dump(dump, "a/b", tmp_path / "s")


def test_one_binary_file_is_listed_and_quarantined(dump: Path, tmp_path: Path) -> None:
    (dump / "blob.cc").write_bytes(bytes(range(256)))
    files, bad = read(dump, tmp_path / "s")
    assert len(files) == 0
    assert bad.rows() == [("d:./blob.cc", "binary", "./blob.cc: NUL at byte 0", bad["text"][0])]
    assert list_dump(dump, "d", tmp_path / "s").collect()["size_bytes"].to_list() == [256]


def test_one_tree_with_odd_sources(dump: Path, tmp_path: Path) -> None:
    (dump / "src").mkdir()
    (dump / "src" / "crlf.cc").write_bytes(b"int a;\r\nint b;\r\n")
    (dump / "src" / "latin.cc").write_bytes(b"// caf\xe9\n" + b"int a;\n" * 100)
    (dump / "src" / "wide.h").write_bytes("int ä;\n".encode("utf-16"))
    (dump / "src" / "huge.h").write_bytes(b"int x = 1;\n" * 2_000_000)
    (dump / "src" / "line.h").write_bytes(b"int x[] = {" + b"1," * 20_000 + b"};")
    files, bad = read(dump, tmp_path / "s")
    text = dict(files.select("path", "content").iter_rows())
    assert set(files["repo"]) == {"."}
    assert text["src/crlf.cc"] == "int a;\nint b;\n"
    assert text["src/latin.cc"].startswith("// caf\ufffd\n")
    assert text["src/wide.h"] == "int ä;\n"
    assert sorted(bad["reason"]) == ["long line", "too large"]


def test_folders_are_repositories_with_their_licences(dump: Path, tmp_path: Path) -> None:
    for name, licence in (("one", "Boost Software License - Version 1.0"), ("two", "do what you like")):
        (dump / name).mkdir()
        (dump / name / "LICENSE").write_text(licence)
        (dump / name / "a.cc").write_text("int a;\n")
    (dump / "two" / "b.cc").write_text("// SPDX-License-Identifier: MIT\nint b;\n")
    files, _ = read(dump, tmp_path / "s")
    assert files.select("repo", "path", "licence").rows() == [
        ("one", "a.cc", "BSL-1.0"), ("two", "a.cc", None), ("two", "b.cc", "MIT"),
    ]  # fmt: skip


def test_links_and_pipes_are_not_followed(dump: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.h"
    secret.write_text("int secret;\n")
    (dump / "a.h").write_text("int a;\n")
    (dump / "out.h").symlink_to(secret)
    (dump / "folder").symlink_to(tmp_path)
    (dump / "in.h").symlink_to("a.h")
    os.mkfifo(dump / "pipe.h")
    files, bad = read(dump, tmp_path / "s")
    assert files["path"].to_list() == ["a.h"]
    assert sorted(bad["reason"]) == [
        "no regular file", "symbolic link", "symbolic link out of the repository",
        "symbolic link out of the repository",
    ]  # fmt: skip
    assert links_out(dump) == 2
    before = list_dump(dump, "d", tmp_path / "s").collect()
    assert before["path"].to_list() == ["a.h", "folder", "in.h", "out.h"]
    secret.write_text("int changed;\n")
    assert list_dump(dump, "d", tmp_path / "s").collect().equals(before)


def test_a_listing_is_ordered_by_path_however_many_row_groups_it_takes(
    dump: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "MAX_GROUP_ROWS", 2)
    names = ["b.h", "a.h", "Z.h", "é.h", "d/x.h", "d.h", "c.h"]
    (dump / "d").mkdir()
    for name in names:
        (dump / name).write_text(name)
    listed = list_dump(dump, "d", tmp_path / "s").collect()
    assert listed["path"].to_list() == sorted(names)
    assert TABLES["repo_dump"].violations(listed.lazy()) == {}
    assert listed["size_bytes"].to_list() == [len(name.encode()) for name in sorted(names)]


def test_jsonl_with_broken_lines(tmp_path: Path) -> None:
    lines = [
        json.dumps({"content": "int a;\n", "path": "a.cc", "repo": "r", "license": "mit", "commit": "c1"}),
        "{broken",
        "[1, 2]",
        json.dumps({"path": "b.cc"}),
        json.dumps({"text": "int c;\n", "lang": "C"}),
        json.dumps({"code": "print()", "filename": "x.py"}),
        json.dumps({"code": "int a;\n", "file": "a.cc", "repository": "r"}),
        "[" * 100_000,
        "",
        '{"content": "// \\ud800' + " int a;" * 60 + '", "path": "s.cc", "licenses": ["Apache-2.0", "MIT"]}',
    ]
    dump = tmp_path / "x.jsonl"
    dump.write_text("\n".join(lines))
    files, bad = read(dump, tmp_path / "s")
    assert files.select("repo", "path", "language", "licence", "commit").rows() == [
        ("r", "a.cc", "cpp", "MIT", "c1"),
        (".", "x.jsonl-00000005.c", "c", None, None),
        (".", "s.cc", "cpp", "Apache-2.0 AND MIT", None),
    ]
    assert bad.select("row_id", "reason").rows() == [
        ("d:x.jsonl:2", "broken JSON"),
        ("d:x.jsonl:3", "no JSON object"),
        ("d:x.jsonl:4", "no text in record"),
        ("d:x.jsonl:6", "not C, C++ or CMake"),
        ("d:x.jsonl:7", "repeated path"),
        ("d:x.jsonl:8", "broken JSON"),
    ]
    assert bad["detail"][0].startswith("x.jsonl:2: Expecting property name")


def test_parquet_in_the_layout_of_the_stack(dump: Path, tmp_path: Path) -> None:
    (dump / "README.md").write_text("a data set")
    (dump / "data").mkdir()
    pl.DataFrame(
        {
            "content": ["int a;\n", None, "int c;\n"],
            "max_stars_repo_path": ["src/a.cpp", "b.cpp", "c.h"],
            "max_stars_repo_name": ["u/r"] * 3,
            "max_stars_repo_licenses": [["MIT"], ["MIT"], []],
        }
    ).write_parquet(dump / "data" / "train-0.parquet")
    pl.DataFrame({"id": ["x"]}).write_parquet(dump / "data" / "train-1.parquet")
    (dump / "data" / "train-2.parquet").write_bytes(b"PAR1 no parquet")
    files, bad = read(dump, tmp_path / "s")
    assert files.select("repo", "path", "licence").rows() == [
        ("u/r", "src/a.cpp", "MIT"), ("u/r", "c.h", None),
    ]  # fmt: skip
    assert bad["reason"].to_list() == ["no text in record", "no text column", "broken file"]
    assert "content or text or code" in bad["detail"][1]


def tar_of(file: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    with tarfile.open(file, f"w:{file.suffix[1:]}") as tar:  # type: ignore[call-overload]
        for info, data in members:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def test_a_hostile_archive_gives_its_good_files_and_reasons(tmp_path: Path) -> None:
    evil = tmp_path / "deep" / "evil.tar.gz"
    evil.parent.mkdir()
    tar_of(
        evil,
        [
            (member("proj/a.cc"), b"int a;\n"),
            (member("../up.cc"), b"int up;\n"),
            (member("proj/../../up2.cc"), b"int up;\n"),
            (member("/abs.cc"), b"int abs;\n"),
            (member("proj/link.cc", tarfile.SYMTYPE, "/etc/passwd"), b""),
            (member("proj/link.cc/inside.cc"), b"int inside;\n"),
            (member("proj/hard.cc", tarfile.LNKTYPE, "proj/a.cc"), b""),
            (member("proj/dev.cc", tarfile.CHRTYPE), b""),
            (member("proj/a.cc/under.cc"), b"int u;\n"),
        ],
    )
    files, bad = read(evil, tmp_path / "s")
    assert files["path"].to_list() == ["a.cc", "link.cc/inside.cc"]
    assert sorted(bad["reason"]) == [
        "archive member cannot be written",
        "archive member is a device",
        "archive member is a link",
        "archive member is a link",
        "archive member that climbs out with '..'",
        "archive member that climbs out with '..'",
        "archive member with an absolute or foreign name",
    ]
    assert not list(tmp_path.glob("**/up*.cc"))
    assert sorted(p.name for p in (tmp_path / "s").iterdir()) == [
        "source_files.parquet", "source_files_quarantine.parquet",
    ]  # fmt: skip


def test_bombs_stop_at_the_limit(tmp_path: Path) -> None:
    limits = archives.Limits(unpacked_bytes=1_000_000, members=100)
    tar_of(tmp_path / "a.tar.gz", [(member("a.cc"), b"int a;\n"), (member("zeros"), bytes(20_000_000))])
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a.cc", b"int a;\n")
        packed.writestr("zeros.cc", bytes(20_000_000))
    tar_of(tmp_path / "c.tar.xz", [(member(f"f{i}.cc"), b"") for i in range(200)])
    for name in ("a.tar.gz", "b.zip", "c.tar.xz"):
        bad = archives.extract(tmp_path / name, tmp_path / "out" / name, lambda _: 10**9, limits)
        assert [b.reason for b in bad] == ["archive too large"], name
    assert (tmp_path / "out" / "a.tar.gz" / "a.cc").read_text() == "int a;\n"


def test_a_cut_archive_is_broken_not_fatal(dump: Path, tmp_path: Path) -> None:
    tar_of(tmp_path / "whole.tar.gz", [(member("p/a.cc"), os.urandom(50_000).hex().encode())])
    (dump / "cut.tar.gz").write_bytes((tmp_path / "whole.tar.gz").read_bytes()[:20_000])
    (dump / "no.zip").write_bytes(b"no zip")
    _, bad = read(dump, tmp_path / "s")
    assert bad.filter(pl.col("reason") == "broken archive")["row_id"].to_list() == ["d:cut.tar.gz", "d:no.zip"]


def test_wherever_a_tar_is_cut_or_a_header_of_it_damaged_that_is_told(tmp_path: Path) -> None:
    """tarfile itself takes a cut or damaged header for the end of the archive."""
    tar_of(tmp_path / "whole.tar", [(member(f"f{n}.cc"), b"int a;\n" * 90) for n in range(3)])
    whole = (tmp_path / "whole.tar").read_bytes()
    end = 3 * (512 + 1024)  # headers and contents; blocks of zeros are the end mark
    ends = range(0, end + 512, 512 + 1024)  # between two members: some writers leave no end mark
    cases = {f"cut at {size}": whole[:size] for size in range(256, end + 512, 256) if size not in ends}
    cases |= {f"damaged at {at}": whole[:at] + b"?" + whole[at + 1 :] for at in range(0, end, 512 + 1024)}
    for name, content in cases.items():
        (tmp_path / "a.tar").write_bytes(content)
        bad = list(archives.extract(tmp_path / "a.tar", tmp_path / "out" / name, lambda _: 10**9))
        assert [b.reason for b in bad] == ["broken archive"], name
    (tmp_path / "a.tar").write_bytes(whole[:end])
    assert list(archives.extract(tmp_path / "a.tar", tmp_path / "out" / "unmarked", lambda _: 10**9)) == []
    (tmp_path / "a.tar").write_bytes(whole[: end + 512])
    assert list(archives.extract(tmp_path / "a.tar", tmp_path / "out" / "whole", lambda _: 10**9)) == []


def test_debian_source_packages_become_one_repository_each(dump: Path, tmp_path: Path) -> None:
    tar_of(dump / "tiny_1.0.orig.tar.xz", [(member("tiny-1.0/src/a.cc"), b"int a;\n")])
    copyright_text = b"Files: *\nCopyright: x\nLicense: zlib\n"
    tar_of(dump / "tiny_1.0-1.debian.tar.xz", [(member("debian/copyright"), copyright_text)])
    (dump / "tiny_1.0-1.dsc").write_text("Format: 3.0 (quilt)\n")
    files, bad = read(dump, tmp_path / "s")
    assert files.select("repo", "path", "licence").rows() == [("tiny", "src/a.cc", "Zlib")]
    assert len(bad) == 0


def test_a_folder_and_an_archive_of_one_name_stay_apart(dump: Path, tmp_path: Path) -> None:
    (dump / "proj").mkdir()
    (dump / "proj" / "a.cc").write_text("int a;\n")
    tar_of(dump / "proj.tar.gz", [(member("a.cc"), b"int b;\n")])
    files, bad = read(dump, tmp_path / "s")
    assert files.select("repo", "content").rows() == [("proj", "int a;\n"), ("proj~2", "int b;\n")]
    assert len(bad) == 0


def test_the_same_dump_gives_the_same_rows(dump: Path, tmp_path: Path) -> None:
    for i in range(30):
        (dump / f"r{i % 3}").mkdir(exist_ok=True)
        (dump / f"r{i % 3}" / f"f{i}.cc").write_text(f"int a{i};\n")
    first, _ = read(dump, tmp_path / "s1")
    second, _ = read(dump, tmp_path / "s2")
    assert first.equals(second)
    assert first.select("repo", "path").rows() == sorted(first.select("repo", "path").rows())

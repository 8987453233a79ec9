"""Git clones and mirrors, friendly and hostile."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import polars as pl
import pytest

from cpp_pipeline.dumps.history import read_commits
from cpp_pipeline.dumps.items import CUT_SHORT
from cpp_pipeline.dumps.listing import list_dump
from cpp_pipeline.dumps.reading import read_files
from cpp_pipeline_tests.dumps import repositories

LICENCE = b"Boost Software License - Version 1.0"
STATES = [
    {"LICENSE": LICENCE, "a.cc": b"int a() { return 1; }\n", "b.h": b"int b;\n", "notes.md": b"x"},
    {"LICENSE": LICENCE, "a.cc": b"int a() { return 2; }\n", "b.h": b"int b;\n", "notes.md": b"y"},
    {"LICENSE": LICENCE, "a.cc": b"int a() { return 3; }\n", "b.h": b"int b;\n", "notes.md": b"y", "c.cc": b""},
    {"LICENSE": LICENCE, "a.cc": b"int a() { return 4; }\n", "b.h": b"long b;\n", "notes.md": b"y", "c.cc": b""},
]


def frames(path: Path, scratch: Path) -> list[pl.DataFrame]:
    return [f.collect() for f in (*read_files(path, "d", scratch), *read_commits(path, "d", scratch))]


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)


def test_a_bare_mirror_reads_like_its_clone(tmp_path: Path, scratch: Path) -> None:
    clones, mirrors = tmp_path / "clones", tmp_path / "mirrors"
    clones.mkdir()
    mirrors.mkdir()
    head = str(repositories.make(clones / "r", STATES).head.target)
    git(tmp_path, "clone", "-q", "--mirror", str(clones / "r"), str(mirrors / "r"))
    clone, mirror = frames(clones, tmp_path / "s1"), frames(mirrors, tmp_path / "s2")
    assert all(a.equals(b) for a, b in zip(clone, mirror, strict=True))
    files, bad, commits, commits_bad = clone
    assert files.select("repo", "path", "commit", "licence").rows() == [
        ("r", p, head, "BSL-1.0") for p in ("a.cc", "b.h", "c.cc")
    ]
    assert len(bad) == 0
    # The commit that adds c.cc is no pair; the newest commit comes first.
    assert commits_bad["reason"].to_list() == ["not only modified", "first commit"]
    assert commits.select("path", "n_files", "message", "time").rows() == [
        ("a.cc", 2, "Fix number 3", 1_700_259_200),
        ("b.h", 2, "Fix number 3", 1_700_259_200),
        ("a.cc", 1, "Fix number 1", 1_700_086_400),
    ]
    assert commits.select("before", "after").row(2) == ("int a() { return 1; }\n", "int a() { return 2; }\n")
    packed = list_dump(mirrors, "d", scratch).collect()["path"].to_list()
    assert packed == ["r"]


def test_a_new_commit_changes_the_listing(tmp_path: Path, scratch: Path) -> None:
    repository = repositories.make(tmp_path / "m", STATES, bare=True)
    before = list_dump(tmp_path, "d", scratch).collect()
    repositories.commit_files(repository, {"a.cc": b"int z;\n"}, "new", 1_800_000_000)
    assert not list_dump(tmp_path, "d", scratch).collect().equals(before)


def hostile(folder: Path, marker: Path) -> None:
    """Plant every setting known to start a program, and a configuration that blocks whoever reads it."""
    program = folder.parent / "program.sh"
    program.write_text(f"#!/bin/sh\necho started >> {marker}\n")
    program.chmod(0o755)
    config = folder / ".git" / "config"
    config.write_text(
        config.read_text()
        + f"[core]\n\tfsmonitor = {program}\n\tsshCommand = {program}\n\thooksPath = {folder.parent}\n"
        f'[diff]\n\texternal = {program}\n[diff "x"]\n\ttextconv = {program}\n[log]\n\tshowSignature = true\n'
        f'[gpg]\n\tprogram = {program}\n[filter "x"]\n\tsmudge = {program}\n\tclean = {program}\n'
    )
    (folder / ".git" / "info").mkdir(exist_ok=True)
    (folder / ".git" / "info" / "attributes").write_text("*.cc diff=x filter=x\n")


def test_a_hostile_configuration_starts_nothing(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    (tmp_path / "dump").mkdir()
    clone = tmp_path / "dump" / "r"
    repositories.make(clone, STATES)
    hostile(clone, marker)
    git(clone, "diff", "HEAD~1", "HEAD")
    assert marker.exists(), "the planted program has to work where git runs"
    marker.unlink()
    # Reading this configuration at all would wait for ever.
    os.mkfifo(tmp_path / "pipe")
    with (clone / ".git" / "config").open("a") as config:
        config.write(f"[include]\n\tpath = {tmp_path / 'pipe'}\n")
    files, bad, commits, _ = frames(tmp_path / "dump", tmp_path / "s")
    list_dump(tmp_path / "dump", "d", tmp_path / "s").collect()
    assert (len(files), len(bad), len(commits)) == (3, 0, 3)
    assert not marker.exists()


@pytest.mark.parametrize("way", ["alternates", "link", "commondir", "pipe"])
def test_objects_outside_the_dump_are_refused(tmp_path: Path, way: str) -> None:
    repositories.make(tmp_path / "outside", STATES)
    inside = tmp_path / "dump" / "r"
    repositories.make(inside, [{"own.cc": b"int own;\n"}])
    objects = inside / ".git" / "objects"
    if way == "alternates":
        (objects / "info").mkdir(exist_ok=True)
        (objects / "info" / "alternates").write_text(f"{tmp_path}/outside/.git/objects\n")
    elif way == "link":
        (objects / "aa").symlink_to(tmp_path / "outside" / ".git" / "objects")
    elif way == "commondir":
        (inside / ".git" / "commondir").write_text(f"{tmp_path}/outside/.git\n")
    else:
        os.mkfifo(objects / "ff")
    files, bad, commits, commits_bad = frames(tmp_path / "dump", tmp_path / "s")
    reason = "unsupported repository" if way == "commondir" else "unreadable repository"
    assert bad["reason"].to_list() == [reason]
    assert commits_bad["reason"].to_list() == [reason]
    assert files.select("path", "commit").rows() == [("own.cc", None)]
    assert len(commits) == 0


def test_missing_objects_are_counted(tmp_path: Path) -> None:
    repository = repositories.make(tmp_path / "r", STATES)
    blob = str(repository.revparse_single("HEAD~1:a.cc").id)
    (tmp_path / "r" / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    tip = str(repository.revparse_single("HEAD:b.h").id)
    (tmp_path / "r" / ".git" / "objects" / tip[:2] / tip[2:]).unlink()
    files, bad, commits, commits_bad = frames(tmp_path / "r", tmp_path / "s")
    assert files["path"].to_list() == ["a.cc", "c.cc"]
    assert bad["reason"].to_list() == ["missing object"]
    assert commits["message"].to_list() == ["Fix number 1"]
    assert commits_bad["reason"].to_list() == ["missing object"] * 2 + ["not only modified", "first commit"]


def test_the_boundary_of_a_shallow_clone_is_no_commit_that_adds_everything(tmp_path: Path) -> None:
    repositories.make(tmp_path / "full", STATES[:2] * 3)
    git(tmp_path, "clone", "-q", "--depth", "3", f"file://{tmp_path}/full", str(tmp_path / "shallow"))
    _, _, commits, commits_bad = frames(tmp_path / "shallow", tmp_path / "s")
    assert commits["message"].to_list() == ["Fix number 5", "Fix number 4"]
    assert commits_bad["reason"].to_list() == ["shallow boundary"]


def test_a_repository_that_has_nothing_yet_is_no_damaged_one(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", str(tmp_path / "r"))
    (tmp_path / "r" / "a.cc").write_text("int a;\n")
    files, bad, _, commits_bad = frames(tmp_path / "r", tmp_path / "s")
    assert [*bad["reason"], *commits_bad["reason"]] == ["empty repository"] * 2
    assert not {"empty repository", "unsupported repository"} & set(CUT_SHORT)
    assert files["path"].to_list() == ["a.cc"]


def test_a_repository_without_commits_is_reported(tmp_path: Path) -> None:
    repositories.make(tmp_path / "r", STATES)
    (tmp_path / "r" / ".git" / "refs" / "heads" / "main").unlink()
    files, bad, _, _ = frames(tmp_path / "r", tmp_path / "s")
    assert bad["reason"].to_list() == ["unreadable repository"]
    assert files["commit"].null_count() == len(files) == 3

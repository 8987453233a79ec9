"""The same assets on a root in a bucket and on one of this machine: same data, and nothing is made twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cpp_pipeline.schemas import TABLES
from cpp_pipeline.storage.store import Provenance, Store
from cpp_pipeline_tests.commands import tell
from cpp_pipeline_tests.gcs.fixtures import objects

ADD = "/** Adds two numbers.\n * @param a first\n * @return the sum\n */\nint add(int a, int b) { return a + b; }\n"
FILES = {
    "one/src/add.cc": ADD,
    "one/src/again.cc": ADD,
    "two/CMakeLists.txt": "cmake_minimum_required(VERSION 3.20)\nproject(two CXX)\nadd_library(two two.cc)\n",
    "two/two.cc": "// a file\nnamespace two { int value() { return 2; } }\n",
}
MADE = {"repo_dump", "source_files", "source_files_quarantine", "clean_files"}


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / "dump" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "dump"


def start(root: str, home: Path, *arguments: str) -> subprocess.Popen[str]:
    """The command of a user."""
    home.mkdir(exist_ok=True)
    env = {**os.environ, "COLUMNS": "200", "CPP_PIPELINE_ALLOW_UNKNOWN_LICENCE": "1"}
    env.pop("DAGSTER_HOME", None)  # each home gets an instance of its own
    command = [sys.executable, "-m", "cpp_pipeline", *arguments, "--root", root]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env, cwd=home)


def run(root: str, home: Path, *arguments: str) -> str:
    """What the command printed, when it ended well."""
    process = start(root, home, *arguments)
    said = process.communicate()[0]
    assert process.returncode == 0, said
    return said


def provenance(store: Store) -> dict[tuple[str, str], Provenance | None]:
    keys = {name: store.partitions(name) for name in TABLES}
    return {(name, key): store.provenance(name, key) for name, found in keys.items() for key in found}


@pytest.mark.slow  # three whole runs; the runner and the storage are held to the same in a bucket by their own tests
def test_a_bucket_and_a_folder_hold_the_same(
    dump: Path, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = ("run", "--preset", "smoke", "--dump", str(dump), "--select", "+key:clean_files")
    local, far = Store(str(tmp_path / "root")), Store(f"{bucket}/some/root")
    for store, home in ((local, "local"), (far, "far")):
        run(str(store.root), tmp_path / home, *chain)
    found = provenance(far)
    assert {name for name, _ in found} >= MADE and {key for _, key in found} == {"dump"}
    assert found == provenance(local)
    for name in {name for name, _ in found}:
        assert far.scan(name).collect().equals(local.scan(name).collect()), name
    assert 0 < far.scan("clean_files").collect().height <= len(FILES)

    before = objects(bucket)
    assert ".lock" not in "".join(before)
    again = run(str(far.root), tmp_path / "far", *chain)
    assert again.startswith("0 of ") and " made " not in again
    assert objects(bucket) == before  # not one object was written again

    monkeypatch.chdir(tmp_path / "far")
    assert "dump" in tell("dumps", "list", "--root", str(far.root)).stdout
    assert tell("dumps", "remove", "dump", "--root", str(far.root)).returncode == 0
    assert [n for n in objects(bucket) if "/tables/" in n or "/dumps/" in n] == []


@pytest.mark.slow  # the lock by itself is held to the same in a bucket, in the tests of `storage`
def test_a_run_that_is_told_to_end_frees_the_root_and_one_that_is_killed_does_not(
    dump: Path, bucket: str, tmp_path: Path
) -> None:
    chain = ("run", "--preset", "smoke", "--dump", str(dump), "--select", "+key:clean_files")
    for end, left in ((signal.SIGTERM, []), (signal.SIGKILL, [".lock"])):
        process = start(bucket, tmp_path / "home", *chain)
        assert process.stdout is not None
        assert any("source_files" in line for line in process.stdout)
        process.send_signal(end)
        process.communicate()
        assert [n for n in objects(bucket) if n.startswith(".lock")] == left
    refused = start(bucket, tmp_path / "home", *chain)
    assert f"`cpp-pipeline unlock --root {bucket}" in refused.communicate()[0] and refused.returncode == 2
    assert "it was held by process" in run(bucket, tmp_path / "home", "unlock")
    assert " made " in run(bucket, tmp_path / "home", *chain)

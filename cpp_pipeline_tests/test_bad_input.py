"""Bad dumps, a machine that lacks something, a full disk: told plainly, and the rest goes on."""

from __future__ import annotations

import json
import os
import random
import shlex
import signal
import string
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from cpp_pipeline.main_job import dagster_instance, wants_default_dumps
from cpp_pipeline.sandbox.controller.startup import start_service
from cpp_pipeline.storage.dumps import add_dump, dumps, named
from cpp_pipeline.storage.store import Store
from cpp_pipeline_tests.commands import tell
from cpp_pipeline_tests.namespaces import needs_own_mounts

AREA = """\
// SPDX-License-Identifier: MIT
/// Returns the area of a rectangle with the given sides, caf\u00e9.
int rectangle_area(int width, int height) {
    int area = width * height;
    return area;
}
"""
FILES = "+key:source_files"


def command(root: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "cpp_pipeline", *arguments, "--root", str(root)]


def run(argv: Sequence[str], **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command of ours; whatever happens, the user is not shown a Python traceback."""
    inherited = {k: v for k, v in os.environ.items() if k not in ("DAGSTER_HOME", "SANDBOX_URL")}
    full = {**inherited, "CPP_PIPELINE_REAL_CPP": "0", "COLUMNS": "200", "OMP_NUM_THREADS": "1", **env}
    done = subprocess.run(argv, capture_output=True, text=True, env=full, timeout=300, check=False)
    assert "Traceback" not in done.stdout + done.stderr
    assert 'File "' not in done.stdout + done.stderr
    return done


def write(file: Path, content: str | bytes) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def rows(root: Path, table: str, dump: str) -> pl.DataFrame:
    return Store(str(root)).scan(table, [dump]).collect()


def statuses(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """The closing table: asset -> status."""
    cells = [row.split("\u2502") for row in done.stdout.splitlines() if row.count("\u2502") > 4]
    return {c[1].strip(): c[2].strip() for c in cells}


@pytest.fixture(scope="module")
def bad_dumps(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A root after one run over dumps that are each bad in their own way, and a good one."""
    base = tmp_path_factory.mktemp("bad")
    root = base / "root"
    empty, gone = base / "empty", base / "gone"
    empty.mkdir()
    gone.mkdir()
    add_dump(Store(str(root)), gone, "gone")
    gone.rmdir()
    record = {"content": AREA, "path": "area.cpp", "repo": "first"}
    lines = [json.dumps(record), '{"content": "int f(', "[1, 2]", '{"path": "textless.cpp"}', "", "\x00\xff"]
    lines += [json.dumps({**record, "repo": "second"})]
    write(base / "lines.jsonl", "\n".join(lines))
    odd = base / "odd bytes"
    write(odd / "program.cpp", random.Random(0).randbytes(4096))
    write(odd / "crlf.cpp", AREA.replace("\n", "\r\n"))
    write(odd / "latin.cpp", AREA.encode("latin-1"))
    write(odd / "utf16.cpp", AREA.encode("utf-16"))
    write(odd / "koi8.cpp", ("// \u043f\u0440\u0438\u0432\u0435\u0442\n" * 40).encode("koi8-r"))
    write(odd / "table.h", "static const int table[] = {\n" + "    1, 2, 3, 4,\n" * 1_250_000 + "};\n")
    write(base / "zz-good" / "area.cpp", AREA)
    paths = [empty, base / "lines.jsonl", odd, base / "zz-good"]
    given = [part for path in paths for part in ("--dump", f"{path}/" if path.is_dir() else str(path))]
    return root, run(command(root, "run", "--preset", "smoke", "--select", FILES, *given))


def test_a_dump_that_is_gone_is_named_and_fails_the_run_alone(
    bad_dumps: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    root, done = bad_dumps
    assert done.returncode == 1, done.stdout + done.stderr
    failures = [line for line in done.stdout.splitlines() if line.startswith("failed:")]
    assert len(failures) == 1
    assert "repo_dump [gone]" in failures[0]
    assert f"{root.parent / 'gone'} does not exist" in failures[0]
    assert "point the dump at" in failures[0]
    others = ["empty", "lines.jsonl", "odd-bytes", "zz-good"]
    assert Store(str(root)).partitions("source_files") == others
    assert rows(root, "source_files", "zz-good").height == 1


def test_the_traceback_of_a_failure_is_kept_where_the_ui_shows_it(
    bad_dumps: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    root, _ = bad_dumps
    with dagster_instance(str(root)) as instance:
        logs = [entry for r in instance.get_runs() for entry in instance.all_logs(r.run_id)]
    errors = [
        entry.get_dagster_event().step_failure_data.error
        for entry in logs
        if entry.is_dagster_event and entry.get_dagster_event().event_type_value == "STEP_FAILURE"
    ]
    assert len(errors) == 1
    assert errors[0] is not None
    assert "list_dump" in errors[0].to_string()


def test_an_empty_dump_makes_empty_tables(bad_dumps: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    root, _ = bad_dumps
    for table in ("repo_dump", "source_files", "source_files_quarantine"):
        assert rows(root, table, "empty").height == 0, table


def test_broken_lines_are_quarantined_with_their_number_and_good_ones_kept(
    bad_dumps: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    root, _ = bad_dumps
    assert rows(root, "source_files", "lines.jsonl")["repo"].to_list() == ["first", "second"]
    kept_out = rows(root, "source_files_quarantine", "lines.jsonl")
    assert [detail.split(": ")[0] for detail in kept_out["detail"]] == [f"lines.jsonl:{n}" for n in (2, 3, 4, 6)]
    assert kept_out["reason"].to_list() == ["broken JSON", "no JSON object", "no text in record", "broken JSON"]


def test_odd_encodings_are_read_and_binary_and_huge_files_quarantined_by_name(
    bad_dumps: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    root, _ = bad_dumps
    text = dict(rows(root, "source_files", "odd-bytes").select("path", "content").iter_rows())
    assert set(text) == {"crlf.cpp", "latin.cpp", "utf16.cpp"}
    assert text["crlf.cpp"] == text["utf16.cpp"] == AREA
    assert text["latin.cpp"] == AREA.replace("\u00e9", "\ufffd")
    kept_out = rows(root, "source_files_quarantine", "odd-bytes").sort("detail")
    for name, reason, row in zip(
        ["koi8.cpp", "program.cpp", "table.h"],
        ["binary", "binary", "too large"],
        kept_out.iter_rows(named=True),
        strict=True,
    ):
        assert name in row["detail"]
        assert row["reason"] == reason
        assert len(row["text"] or "") <= 2000


@pytest.mark.slow  # a run of its own; the chain is run twice as well
def test_a_later_run_needs_no_path_and_adds_no_dump_of_its_own(
    bad_dumps: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    root, _ = bad_dumps
    before = [d.name for d in dumps(Store(str(root)))]
    done = run(command(root, "run", "--preset", "smoke", "--select", "repo_dump"))
    assert done.returncode == 1, done.stdout  # for the dump that is gone
    assert "1 of 5" in done.stdout
    assert [d.name for d in dumps(Store(str(root)))] == before
    assert not wants_default_dumps(str(root))


@pytest.mark.parametrize(
    ("arguments", "cause", "remedy"),
    [
        (["run", "--dump", "{good}", "--dump", "{base}/no-such"], "no-such does not exist", "point the dump at"),
        (["run", "--dump", "{base}/notes.txt"], "notes.txt: unknown kind of file", "point the dump at"),
        (["run", "--dump", "{base}"], "lies inside the dump", "choose a --root outside"),
        (["run", "--dump", "{good}", "--dump", "{other}"], "other/good would both be dump 'good'", "dumps add"),
        (["dumps", "add", "{good}", "--name", "team/good"], "'team/good' is not allowed", "for example 'team-good'"),
    ],
)
def test_a_wrong_argument_is_refused_before_anything_is_written(
    tmp_path: Path, arguments: list[str], cause: str, remedy: str
) -> None:
    good = write(tmp_path / "good" / "area.cpp", AREA).parent
    other = write(tmp_path / "other" / "good" / "area.cpp", AREA).parent
    write(tmp_path / "notes.txt", "no dump")
    root = tmp_path / "root"
    filled = [a.format(base=tmp_path, good=good, other=other) for a in arguments]
    done = tell(*filled, *(["--no-bundled"] if arguments[0] == "run" else []), "--root", str(root))
    assert done.returncode == 2, done.stdout + done.stderr
    assert cause in done.stderr
    assert remedy in done.stderr
    assert not (root / "dumps").exists()
    assert not (root / "tables").exists()


@pytest.mark.slow  # the refusal itself is in the tests of the runner; this loads the definitions for it
def test_a_selection_of_no_asset_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    root = tmp_path / "root"
    done = run(command(root, "run", "--select", "+docstring_pears", "--no-bundled"))
    assert done.returncode == 2, done.stdout + done.stderr
    assert "'+docstring_pears' is of no asset" in done.stderr
    assert "docstring_pairs" in done.stderr
    assert not (root / "dumps").exists()
    assert not (root / "tables").exists()


def test_dumps_given_by_path_get_valid_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(str(tmp_path / "root"))
    spaced = write(tmp_path / "my code (v2)" / "a.cpp", AREA).parent
    known = write(tmp_path / "known" / "a.cpp", AREA).parent
    add_dump(store, known, "other-name")
    monkeypatch.chdir(spaced)
    given = [Path("."), Path(f"{spaced}/"), Path("../known"), Path("../root/../my code (v2)")]
    assert named(store, given) == [("my-code-v2", spaced), ("other-name", known)]


@pytest.fixture(scope="module")
def root_without_verdicts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with one dump, on which no run with a working sandbox was made."""
    base = tmp_path_factory.mktemp("verdicts")
    write(base / "good" / "area.cpp", AREA)
    add_dump(Store(str(base / "root")), base / "good", "good")
    return base / "root"


def assert_data_went_on_without_verdicts(root: Path, done: subprocess.CompletedProcess[str], cause: str) -> None:
    assert done.returncode == 1, done.stdout + done.stderr
    failures = [line for line in done.stdout.splitlines() if line.startswith("failed:")]
    assert len(failures) == 1
    assert "sandbox_canaries: SandboxUnavailable" in failures[0]
    assert cause in failures[0]
    assert "cpp-pipeline doctor" in done.stdout
    found = statuses(done)
    assert found["sandbox_canaries"] == "failed"
    assert found["cmake_sft"] == "not made"
    assert Store(str(root)).provenance("cmake_sft", "good") is None
    assert rows(root, "source_files", "good").height == 1


def broken_bwrap(folder: Path, words: str) -> Path:
    program = write(folder / "bwrap", f"#!/bin/sh\necho 'bwrap: {words}' >&2\nexit 1\n")
    program.chmod(0o755)
    return program


@pytest.mark.slow  # a whole run; that the sandbox refuses to start is below, and what a failed asset leaves in `runner`
def test_without_isolation_nothing_is_judged_and_the_data_go_on(root_without_verdicts: Path) -> None:
    words = "No permissions to create a new namespace"
    select = f"{FILES} or cmake_sft or sandbox_canaries"
    argv = command(root_without_verdicts, "run", "--preset", "smoke", "--select", select)
    with tempfile.TemporaryDirectory() as open_folder:
        Path(open_folder).chmod(0o755)  # boxes are started as nobody
        broken_bwrap(Path(open_folder), words)
        done = run(argv, PATH=f"{open_folder}:{os.environ['PATH']}", SANDBOX_BACKEND="bubblewrap")
    assert_data_went_on_without_verdicts(root_without_verdicts, done, words)


def test_a_bwrap_that_cannot_be_started_is_named(tmp_path: Path) -> None:
    program = broken_bwrap(tmp_path, "unheard")
    program.write_bytes(b"\x7fELF no program")
    service = start_service(workers=1, bwrap=str(program), backend="bubblewrap")
    assert service.judge is None
    assert "a box did not start" in service.reason
    assert str(program) in service.reason


@pytest.mark.slow  # as without isolation, with another cause
def test_without_a_compiler_nothing_is_judged_and_the_data_go_on(root_without_verdicts: Path, tmp_path: Path) -> None:
    layers = tmp_path / "layers"
    layers.mkdir()
    hide = (
        f"mount -t tmpfs tmpfs {layers} && mkdir {layers}/upper {layers}/work && mount -t overlay overlay "
        f"-o lowerdir=/usr/bin,upperdir={layers}/upper,workdir={layers}/work /usr/bin && rm /usr/bin/g++"
    )
    needs_own_mounts(hide)
    select = f"{FILES} or cmake_sft or sandbox_canaries"
    argv = command(root_without_verdicts, "run", "--preset", "smoke", "--select", select)
    done = run(["unshare", "--mount", "sh", "-c", f"{hide} && {shlex.join(argv)}"])
    cause = "g++ is not installed; on Debian: apt-get install g++"
    assert_data_went_on_without_verdicts(root_without_verdicts, done, cause)


@pytest.mark.slow  # two whole runs; one table on a full disk is in the tests of `storage`
def test_a_full_disk_is_told_and_shows_no_half_file_and_a_larger_one_goes_on(tmp_path: Path) -> None:
    draw = random.Random(0)
    write(tmp_path / "a-small" / "area.cpp", AREA)
    for number in range(100):
        lines = ["// " + "".join(draw.choices(string.ascii_lowercase, k=100)) for _ in range(500)]
        write(tmp_path / "b-large" / f"f{number}.cpp", AREA + "\n".join(lines) + "\n")
    disk = tmp_path / "disk"
    disk.mkdir()
    root = disk / "root"
    small = f"mount -t tmpfs -o size=3m tmpfs {disk}"
    needs_own_mounts(small)
    given = ["--dump", str(tmp_path / "a-small"), "--dump", str(tmp_path / "b-large")]
    files = ["run", "--preset", "smoke", "--select", "+key:source_files"]
    first = shlex.join(command(root, *files, *given))
    second = shlex.join(command(root, *files))
    script = [
        small,
        f"{first} > {tmp_path}/first 2>&1; echo $? > {tmp_path}/code",
        f"cp -a {root} {tmp_path}/full",
        f"mount -o remount,size=64m {disk}",
        second,
        "code=$?",
        f"cp -a {root} {tmp_path}/done",
        "exit $code",
    ]
    done = run(["unshare", "--mount", "sh", "-c", "\n".join(script)])
    told = (tmp_path / "first").read_text()
    assert (tmp_path / "code").read_text().strip() in ("1", "2"), told
    assert "Traceback" not in told
    for words in ("disk is full", f"MiB free at {root}", "Free some space", "what is finished is kept"):
        assert words in told
    full = list((tmp_path / "full" / "tables").rglob("*"))
    visible = [p for p in full if p.is_file() and not p.name.startswith(".")]
    assert (tmp_path / "full" / "tables" / "source_files" / "a-small.parquet") in visible
    for file in visible:
        assert b"cpp_pipeline" in pq.read_metadata(file).metadata
        pq.read_table(file)
    assert done.returncode == 0, done.stdout + done.stderr
    assert rows(tmp_path / "done", "source_files", "b-large").height == 100
    assert Store(str(tmp_path / "done")).partitions("source_files") == ["a-small", "b-large"]


def test_an_interrupted_run_stops_and_says_so(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for name in ("one", "two"):
        add_dump(Store(str(root)), write(tmp_path / name / "area.cpp", AREA).parent, name)
    env = {**os.environ, "CPP_PIPELINE_REAL_CPP": "0", "OMP_NUM_THREADS": "1"}
    env.pop("DAGSTER_HOME", None)
    argv = command(root, "run", "--preset", "smoke", "--select", "+cmake_sft")
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env) as process:
        assert process.stdout is not None
        told = ""
        while "sandbox_canaries ..." not in told and (line := process.stdout.readline()):
            told += line
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        told += process.stdout.read()
    assert process.returncode == 130, told
    assert "run again to go on" in told
    assert "[one]" not in told
    assert "Traceback" not in told

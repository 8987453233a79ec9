"""A pod judges as any other judge does, and what it refuses to run as."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from cpp_pipeline.sandbox.canaries import run_canaries
from cpp_pipeline.sandbox.client import SandboxClient
from cpp_pipeline.sandbox.types import CMakeJob, Job
from cpp_pipeline_tests.sandbox.pod.containers import Pod, free_uid, pod, skip_without_root, started

HEAD = "int solve(int a)"
TESTS = [{"args": [2], "expected": 3}, {"args": [5], "expected": 6}]
ASSERTS = "#undef NDEBUG\n#include <cassert>\nint main() { assert(solve(2) == 3); assert(solve(5) == 6); }"
SEEN_IN_A_CONTAINER = {"read_files", "include_secret_in_assembler", "find_secret_while_compiling"}
"""Canaries that look for /etc/passwd or /proc/1: seen by boxes without a root of their own; in a pod no secrets."""


def function(body: str, **more: object) -> Job:
    return Job("", f"{HEAD} {{ {body} }}", HEAD, TESTS, **more)  # type: ignore[arg-type]


def verdicts_of(client: SandboxClient, jobs: Mapping[str, Job]) -> dict[str, tuple[str | None, str | None]]:
    results = client.batch_verify([replace(job, id=name) for name, job in jobs.items()])
    return {r.id: (r.verdict, r.error) for r in results}


def test_verdicts_of_functions(running: Pod) -> None:
    leaver = "#include <cstdlib>\n#include <unistd.h>\n" + HEAD
    jobs = {
        "right": (function("return a + 1;"), "AC"),
        "half": (function("return a == 2 ? 3 : 0;"), "PA"),
        "ce": (function("return a +;"), "CE"),
        "crash": (function("return *(volatile int*)8;"), "RE"),
        "loop": (function("for (;;) {}", timeout=0.5), "TLE"),
        "leaver": (Job("", f"{leaver} {{ if (!fork()) pause(); std::exit(0); }}", HEAD, TESTS), "RE"),
    }
    with SandboxClient(running.url) as client:
        found = verdicts_of(client, {name: job for name, (job, _) in jobs.items()})
        assert found == {name: (verdict, None) for name, (_, verdict) in jobs.items()}
        about = client.capabilities()["isolation"]
        assert (about["backend"].split("-")[0], about["level"]) == ("pod", "namespaces")


@pytest.mark.slow  # each mode has a precompiled header of its own, which the pod builds for it
def test_verdicts_of_all_modes(running: Pod) -> None:
    program = "#include <iostream>\nint main() { int a; std::cin >> a; std::cout << a + 1; }"
    right = f"{HEAD} {{ return a + 1; }}"
    jobs = {
        "sane": (function("return a + 1;", sanitize=True), "AC"),
        "asserts": (Job("", right, HEAD, test_code=ASSERTS), "AC"),
        "wrong": (Job("", f"{HEAD} {{ return a; }}", HEAD, test_code=ASSERTS), "WA"),
        "inproc": (Job("", right, HEAD, test_code=ASSERTS, harness="inproc"), "AC"),
        "stdio": (Job("", program, test_cases=[{"stdin": "2", "expected": "3"}]), "AC"),
    }
    with SandboxClient(running.url) as client:
        found = verdicts_of(client, {name: job for name, (job, _) in jobs.items()})
        assert found == {name: (verdict, None) for name, (_, verdict) in jobs.items()}
        cmake = "cmake_minimum_required(VERSION 3.16)\nproject(p CXX)\nadd_library(l l.cpp)\n"
        job = CMakeJob("c", cmake, [{"path": "l.cpp", "content": "int l() { return 1; }"}], build=True)
        assert client.cmake(job).build_ok is True
        assert client.analyze("int f() { int x; return x; }", "bugs") != []


def test_nothing_of_a_box_is_left_in_the_runner(running: Pod) -> None:
    with SandboxClient(running.url) as client:
        litter = "#include <fstream>\n#include <string>\n" + HEAD
        loop = 'for (std::string p : {"/tmp/", "/dev/shm/", "/var/tmp/"}) std::ofstream(p + "litter") << "x";'
        body = f"{{ {loop} return a + 1; }}"
        job = Job("litter", litter + body, HEAD, TESTS, fresh=True)
        assert [r.verdict for r in client.batch_verify([job])] == ["AC"]
    assert [p for p in ("/tmp/litter", "/dev/shm/litter", "/var/tmp/litter") if Path(p).exists()] == []
    mine = [pid for pid in os.listdir("/proc") if pid.isdigit() and _uid(pid) == running.uids[1]]
    assert mine == [str(running.runner.pid)]


def _uid(pid: str) -> int:
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return -1


@pytest.mark.slow  # a pod of its own builds its precompiled headers
def test_the_judge_ends_with_its_runner_and_gives_no_verdict() -> None:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        with pod(Path(name), "nested") as own, SandboxClient(own.url, retries=0, outage_seconds=0.0) as client:
            own.runner.kill()
            own.runner.wait()
            (result,) = client.batch_verify([function("return a + 1;", fresh=True)])
            assert (result.verdict, str(result.error).split(":")[0]) == (None, "worker_lost")
            assert own.judge.wait(60) == 1


def test_who_must_not_be_a_runner_is_told(tmp_path: Path) -> None:
    skip_without_root()
    command = [sys.executable, "-m", "cpp_pipeline.sandbox.pod", "runner", "--socket", str(tmp_path / "s")]
    as_root = subprocess.run([*command, "--folder", str(tmp_path)], capture_output=True, text=True, check=False)
    assert as_root.returncode == 1 and "root" in as_root.stderr


@pytest.mark.slow  # four processes of a pod, one after the other
def test_a_runner_that_is_not_alone_with_its_uid_is_refused() -> None:
    skip_without_root()
    uid = free_uid()
    with tempfile.TemporaryDirectory() as name:
        os.chown(name, uid, uid)
        beside = subprocess.Popen(["/bin/sleep", "60"], user=uid, group=uid, extra_groups=[])
        words = ["runner", "--socket", f"{name}/s", "--folder", f"{name}/work"]
        try:
            with started(uid, words) as refused:
                assert refused.wait(60) == 1
        finally:
            beside.kill()
            beside.wait()
        with started(uid, words) as runner:
            assert runner.stdout is not None and b"listening" in runner.stdout.readline()
            judge = ["judge", "--socket", f"{name}/s", "--folder", f"{name}/judge", "--port", "0"]
            with started(uid, judge) as same:
                assert same.wait(60) == 1  # it has the runner's uid


@pytest.mark.slow
def test_the_canaries_are_judged_as_everywhere(running: Pod) -> None:
    with SandboxClient(running.url) as client:
        rows = run_canaries(client)
        nested = client.capabilities()["isolation"]["backend"] == "pod-nested"
    bad = {row["canary_id"].split("/")[-1] for row in rows if not row["ok"]}
    assert len(rows) > 400
    assert bad == (SEEN_IN_A_CONTAINER if nested else set())

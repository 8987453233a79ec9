"""Trouble of the machine is an error and never a score; a candidate's own end is a score and never an error."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import uvicorn

from cpp_pipeline.sandbox.__main__ import main
from cpp_pipeline.sandbox.client import SandboxClient
from cpp_pipeline.sandbox.controller import Service, create_app
from cpp_pipeline.sandbox.isolation import Box, BoxResult
from cpp_pipeline.sandbox.judge import Judge
from cpp_pipeline.sandbox.runs import BROKEN, Plan, run_program
from cpp_pipeline.sandbox.types import Job, Result
from cpp_pipeline.sandbox.verdicts import prepare

HEAD = "int solve(const std::vector<int>& v)"
TESTS = [{"args": [[n]], "expected": n} for n in range(3)]
GOOD = f"{HEAD} {{ return v[0]; }}"
NO_FORK = f'extern "C" int fork() {{ return -1; }}\n{GOOD}'


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    found = Judge(workers=2)
    yield found
    found.close()


def _job(code: str, name: str = "j") -> Job:
    return Job(name, code, HEAD, TESTS, timeout_seconds=1.0)


@pytest.mark.parametrize("code", [101, 102, 103, 1, 0])
def test_an_exit_code_of_the_candidate_is_a_verdict(judge: Judge, code: int) -> None:
    (result,) = judge.batch([_job(f"#include <unistd.h>\n{HEAD} {{ _exit({code}); }}")])
    assert result.error is None
    assert (result.verdict, result.tests_passed) in [("RE", 0), ("MLE", 0)]


def test_a_candidate_that_breaks_the_runner_is_scored(judge: Judge) -> None:
    (result,) = judge.batch([_job(NO_FORK)])
    assert (result.error, result.verdict, result.tests_passed) == (None, "RE", 0)


def test_processes_left_by_one_test_do_not_reach_the_next(judge: Judge) -> None:
    body = "if (v[0] == 0) for (int i = 0; i < 200; ++i) if (fork() == 0) for (;;) pause(); return v[0];"
    (result,) = judge.batch([_job(f"#include <unistd.h>\n{HEAD} {{ {body} }}")])
    assert [t.verdict for t in result.tests] == ["AC", "AC", "AC"]


class _Starved:
    """A machine on which no process can be made inside a box, for programs of the judge."""

    def __init__(self, judge: Judge) -> None:
        self.judge, self.inner = judge, judge.boxes.run

    def run(self, box: Box) -> BoxResult:
        limits = box.limits
        if box.argv[0] == "/box/program":
            limits = limits.__class__(**{**limits.__dict__, "processes": 1})
        return self.inner(Box(box.argv, limits, box.stdin, box.readonly, box.writable, box.proc))


@pytest.mark.parametrize("code", [GOOD, f"#include <vector>\n{GOOD}"])
def test_a_machine_that_starts_no_tests_is_an_error(judge: Judge, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    monkeypatch.setattr(judge.boxes, "run", _Starved(judge).run)
    (result,) = judge.batch([_job(code)])
    assert (result.verdict, result.tests_passed) == (None, None)
    assert result.error == "worker_lost: the runner could not start a test"


def test_a_late_call_without_use_of_the_processor_is_no_timeout_in_strict_mode(judge: Judge) -> None:
    # pause() is not among the system calls of strict mode; a futex that nobody wakes is
    wait = 'extern "C" long syscall(long, ...); int word = 0;\n' + f"{HEAD} {{ return syscall(202, &word, 0, 0, 0); }}"
    case = prepare(_job(wait))
    statuses = {}
    for strict in (False, True):
        folder = judge.toolchain.open_folder()
        assert judge.bench._compile([case], folder).status == "ok"
        plan = Plan([case.calls[:1]], [0], 0.05, 1.0, strict)
        ran = run_program(judge.boxes, folder / "program", plan)
        statuses[strict] = ran.records[0, 0].status
    assert statuses == {False: 3, True: BROKEN}


def test_an_endless_loop_is_a_timeout_in_strict_mode(judge: Judge) -> None:
    (result,) = judge.batch([_job(f"{HEAD} {{ int n = 1; while (n) {{ n = 1 + v[0] * 0; }} return n; }}")])
    assert (result.error, result.verdict) == (None, "TLE")


def test_closing_while_programs_run_gives_no_verdict() -> None:
    judge = Judge(workers=2)
    sleeper = f"#include <unistd.h>\n{HEAD} {{ if (v[0]) for (;;) pause(); return 0; }}"
    found: list[Result] = []
    worker = threading.Thread(target=lambda: found.extend(judge.batch([_job(sleeper)])))
    worker.start()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and not any(_is_running(p) for p in judge.boxes._running):
        time.sleep(0.02)
    judge.close()
    worker.join()
    assert [r.verdict for r in found] == [None]
    assert "shutting down" in str(found[0].error)


def _is_running(process: object) -> bool:
    return "/box/program" in getattr(process, "args", ())


def test_a_compiler_killed_from_outside_is_an_error(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = judge.boxes.run
    script = ["/bin/sh", "-c", "kill -9 $$"]
    monkeypatch.setattr(judge.boxes, "run", lambda box: inner(Box(script) if "/usr/bin/g++" in box.argv else box))
    (result,) = judge.batch([_job(GOOD)])
    assert result.verdict is None
    assert str(result.error).startswith("worker_lost: the compiler was killed")


@contextmanager
def _server(errors: dict[str, int]) -> Iterator[tuple[str, list[list[str]]]]:
    """Passes every job but `worker_lost` for the first `errors[code]` attempts at it; yields URL and requests."""
    asked: list[list[str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            jobs = body.get("jobs", [body])
            asked.append([j["code"] for j in jobs])
            lines = []
            for job in jobs:
                errors[job["code"]] = errors.get(job["code"], 0) - 1
                good = {"verdict": "AC", "compile_ok": True, "tests_passed": 1, "error": None}
                bad = {"verdict": None, "compile_ok": None, "tests_passed": None, "error": "worker_lost: why"}
                answer = bad if errors[job["code"]] >= 0 else good
                lines.append(json.dumps({"id": job["id"], "tests_total": 1, **answer}))
            data = ("\n".join(lines) + "\n").encode()
            self.send_response(200)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_only_jobs_with_passing_trouble_are_sent_again() -> None:
    seen: list[str] = []
    with _server({"b": 1, "c": 99}) as (url, asked), SandboxClient(url, retries=2) as client:
        found = client.batch_verify([_job(c, c.upper()) for c in "abc"], on_result=lambda r: seen.append(r.id))
    assert asked == [["a", "b", "c"], ["b", "c"], ["c"]]
    assert [(r.id, r.verdict, r.error) for r in found] == [
        *(("A", "AC", None), ("B", "AC", None), ("C", None, "worker_lost: why")),
    ]
    assert seen == ["A", "B", "C"]


@pytest.mark.parametrize(("failures", "error"), [(1, None), (9, "worker_lost: why")])
def test_a_single_job_is_sent_again_too(failures: int, error: str | None) -> None:
    with _server({"a": failures}) as (url, asked), SandboxClient(url, retries=1) as client:
        assert client.verify(_job("a")).error == error
    assert len(asked) == 2


def test_check_sends_the_token_of_the_settings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    app = create_app(Service(None, "no judge here", token="secret"))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.02)
        port = server.servers[0].sockets[0].getsockname()[1]
        said = []
        for token in ("wrong", "secret"):
            monkeypatch.setenv("SANDBOX_TOKEN", token)
            assert main(["check", "--url", f"http://127.0.0.1:{port}"]) == 1
            said.append(capsys.readouterr().err)
    finally:
        server.should_exit = True
        thread.join()
    assert "401" in said[0]
    assert "no judge here" in said[1]

"""Trouble of the machine is an error and never a score; a candidate's own end is a score and never an error."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import uvicorn

from cpp_pipeline.sandbox.__main__ import main
from cpp_pipeline.sandbox.controller.app import create_app
from cpp_pipeline.sandbox.controller.service import Service, Trouble
from cpp_pipeline.sandbox.controller.tokens import Tokens
from cpp_pipeline.sandbox.isolation import Box, BoxResult, IsolationError, Limits
from cpp_pipeline.sandbox.judging.cases import RpcCase, prepare
from cpp_pipeline.sandbox.judging.judge import Judge
from cpp_pipeline.sandbox.judging.runs import BROKEN, Plan, Program, run_program
from cpp_pipeline.sandbox.types import Job, Result

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
    return Job(name, code, HEAD, TESTS, timeout=1.0)


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
        if box.argv[0] == "/box/program":
            box = replace(box, limits=replace(box.limits, processes=1))
        return self.inner(box)


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
    assert isinstance(case, RpcCase)
    statuses = {}
    for strict in (False, True):
        folder = judge.toolchain.open_folder()
        assert judge.bench._compile([case], folder).status == "ok"
        plan = Plan([case.calls[:1]], [0], 0.05, 1.0, strict)
        ran = run_program(judge.boxes, Program(folder / "program", Limits()), plan)
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
    while time.monotonic() < deadline and not any(map(_is_running, judge.boxes._processes._running)):
        time.sleep(0.02)
    judge.close()
    worker.join()
    assert [r.verdict for r in found] == [None]
    assert "shutting down" in str(found[0].error)


def test_a_batch_that_meets_a_closed_judge_is_lost_work_and_no_error_of_ours() -> None:
    judge = Judge(workers=1)
    results = judge.batch([_job(GOOD)])
    judge.close()
    with pytest.raises(IsolationError, match="the judge is closed"):
        list(results)


def _is_running(process: object) -> bool:
    return "/box/program" in getattr(process, "args", ())


def test_a_compiler_killed_from_outside_is_an_error(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = judge.boxes.run
    script = ["/bin/sh", "-c", "kill -9 $$"]
    monkeypatch.setattr(judge.boxes, "run", lambda box: inner(Box(script) if "/usr/bin/g++" in box.argv else box))
    (result,) = judge.batch([_job(GOOD)])
    assert result.verdict is None
    assert str(result.error).startswith("worker_lost: the compiler was killed")


def test_check_sends_the_token_of_the_settings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    app = create_app(Service(Trouble("isolation_unavailable", "no judge here"), Tokens(["secret"])))
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

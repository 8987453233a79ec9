"""A controller whose work is done by another one."""

from __future__ import annotations

import time

import pytest

from cpp_pipeline.sandbox.__main__ import main
from cpp_pipeline.sandbox.client import SandboxClient, SandboxUnavailable
from cpp_pipeline.sandbox.controller.remote import RemoteJudge
from cpp_pipeline.sandbox.controller.service import Service, Trouble
from cpp_pipeline.sandbox.controller.startup import Remote, start_service
from cpp_pipeline.sandbox.controller.tokens import Tokens
from cpp_pipeline.sandbox.types import CMakeJob, Job
from cpp_pipeline_tests.sandbox.controller.stand_in import StandIn, served

HEAD = "int solve(int a)"


def job(body: str, id: str, head: str = HEAD) -> Job:
    return Job(id, f"{HEAD} {{ {body} }}", head, [{"args": [2], "expected": 3}])


def test_verdicts_and_errors_are_those_of_the_other_controller(client: SandboxClient, sandbox_url: str) -> None:
    jobs = [
        *(job("return a + 1;", "same"), job("return a;", "wrong"), job("return a +;", "ce")),
        *(job("return a + 1;", "same"), job("return a;", "bad", head="no prototype")),
    ]
    direct = client.batch_verify(jobs)
    service = start_service(remote=Remote(sandbox_url), tokens=Tokens(["front"]))
    with served(service) as url, SandboxClient(url, token="front") as front:
        through = front.batch_verify(jobs)
        assert front.capabilities()["remote"] == sandbox_url
        assert front.cmake(CMakeJob("c", "project(", [])).lint_ok is False
        assert front.analyze("int x;", "bugs") == []
    assert [(r.id, r.verdict, r.tests, r.error) for r in through] == [
        (r.id, r.verdict, r.tests, r.error) for r in direct
    ]
    assert [r.verdict for r in through] == ["AC", "WA", "CE", "AC", None]
    assert "harness_compile_failed" in str(through[4].error)
    assert service.metrics.value("sandbox_results_total") == 5
    assert service.metrics.value("sandbox_errors_total") == 1


def test_a_controller_that_is_gone_gives_errors_and_no_verdicts() -> None:
    with served(Service(StandIn())) as url:
        judge = RemoteJudge(url, retries=0, outage_seconds=0.0)
        assert [r.verdict for r in judge.batch([job("", "a")])] == ["AC"]
    try:
        lost = list(judge.batch([job("", "a"), job("", "a")]))
        assert [(r.id, r.verdict, str(r.error)[:11]) for r in lost] == [("a", None, "worker_lost")] * 2
        with pytest.raises(ConnectionError):
            judge.analyse("int x;", "bugs").result()
        late = list(judge.batch([job("", "a")], deadline=time.monotonic() - 1))
        assert str(late[0].error).startswith("queue_timeout")
    finally:
        judge.close()


def test_a_controller_that_cannot_judge_or_be_reached_is_refused_at_start(capsys: pytest.CaptureFixture[str]) -> None:
    with served(Service(Trouble("isolation_unavailable", "install bubblewrap"))) as url:
        with pytest.raises(SandboxUnavailable, match="install bubblewrap"):
            start_service(remote=Remote(url))
        assert main(["serve", "--port", "0", "--backend", "remote", "--url", url]) == 1
    assert "install bubblewrap" in capsys.readouterr().err
    assert main(["serve", "--port", "0", "--backend", "remote", "--url", "http://127.0.0.1:9"]) == 1
    assert "127.0.0.1:9" in capsys.readouterr().err
    assert main(["serve", "--port", "0", "--backend", "remote"]) == 2

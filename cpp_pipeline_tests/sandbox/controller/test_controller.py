"""The controller in front of a judge that compiles nothing: admission, replays, deadlines, tokens, refusals, drain."""

from __future__ import annotations

import functools
import http.client
import json
import logging
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from cpp_pipeline.sandbox.client import SandboxClient, SandboxUnavailable
from cpp_pipeline.sandbox.controller.app import create_app
from cpp_pipeline.sandbox.controller.requests import CapsFields, ExecuteRequest
from cpp_pipeline.sandbox.controller.responses import CMakeRecord, FindingRecord, ResultRecord, TestRecord
from cpp_pipeline.sandbox.controller.service import Service, Trouble
from cpp_pipeline.sandbox.controller.tokens import Tokens
from cpp_pipeline.sandbox.types import Caps, CMakeResult, Finding, Job, Result, TestResult
from cpp_pipeline_tests.sandbox.controller.stand_in import StandIn, served, until

TESTS = [{"args": [1], "expected": 1}]


def body(code: str = "x", id: str = "j") -> dict[str, Any]:
    return {"id": id, "code": code, "prototype": "int f(int a)", "test_cases": TESTS}


def post(url: str, path: str = "/execute", **kwargs: Any) -> httpx.Response:
    return httpx.post(url + path, trust_env=False, timeout=30, **kwargs)


@pytest.fixture
def judge() -> StandIn:
    return StandIn()


@pytest.fixture
def web(judge: StandIn) -> Iterator[TestClient]:
    service = Service(judge)
    with TestClient(create_app(service), raise_server_exceptions=False) as client:
        yield client
    service.close()


def lines(response: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line) for line in response.text.splitlines()]


def test_openapi_describes_every_field_of_every_body(web: TestClient) -> None:
    found = web.get("/openapi.json").json()
    for reference in re.findall(r'"\$ref": "#/([^"]*)"', json.dumps(found)):
        assert functools.reduce(lambda at, part: at[part], reference.split("/"), found)
    assert set(found["paths"]) == {
        *("/execute", "/execute/batch", "/cmake", "/analyze"),
        *("/healthz", "/readyz", "/capabilities", "/metrics"),
    }
    for name, schema in found["components"]["schemas"].items():
        for field, described in schema.get("properties", {}).items():
            assert "description" in described or "$ref" in described, f"{name}.{field}"
    execute = found["paths"]["/execute"]["post"]
    assert {"200", "401", "413", "422", "429", "503"} <= execute["responses"].keys()
    assert execute["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/ExecuteRequest")
    assert {p["name"] for p in execute["parameters"]} == {"Idempotency-Key", "X-Deadline-Seconds"}


def test_bodies_have_the_fields_and_defaults_of_the_records() -> None:
    assert ExecuteRequest(code="x").job() == Job("", "x")
    assert CapsFields().model_dump() == asdict(Caps())
    for record, model in (
        *((Result, ResultRecord), (TestResult, TestRecord)),
        *((CMakeResult, CMakeRecord), (Finding, FindingRecord)),
    ):
        assert [f.name for f in fields(record)] == list(model.model_fields)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"unknown": 1}, "unknown: there is no such field; /openapi.json"),
        ({"std": "c++98"}, "std: Input should be 'c++17', 'c++20' or 'c++23', found 'c++98'"),
        ({"timeout": 1e9}, "timeout: Input should be less than or equal to 60, found 1000000000.0"),
        ({"timeout": "5"}, "timeout: Input should be a valid number, found '5'"),
        ({"caps": {"memory_mb": 1 << 20}}, "caps.memory_mb: Input should be less than or equal to 4096"),
        ({"caps": {"memory": 5}}, "caps.memory: there is no such field"),
        ({"test_cases": [{"arguments": []}]}, "test_cases.0: A test needs args and expected, or stdin"),
        ({"test_cases": [{"args": [], "expected": 1, "also": 1}]}, "test_cases.0.args.also: there is no such field"),
        ({"code": None}, "code: Input should be a valid string, found None"),
        ({"deadline_seconds": -1}, "deadline_seconds: Input should be greater than 0"),
    ],
)
def test_fields_that_do_not_fit_are_named_with_what_was_found(
    web: TestClient, changed: dict[str, Any], told: str
) -> None:
    response = web.post("/execute", json={**body(), **changed})
    assert response.status_code == 422
    error = response.json()["error"]
    assert (error["kind"], error["retryable"]) == ("invalid_request", False)
    assert told in error["message"]


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"\xff", b'{"code": "\\ud800"}', b"[" * 5000])
def test_what_is_no_json_object_is_refused(web: TestClient, data: bytes) -> None:
    for path in ("/execute", "/execute/batch", "/cmake", "/analyze"):
        response = web.post(path, content=data)
        assert (response.status_code, response.json()["error"]["kind"]) == (422, "invalid_request")


def test_unknown_routes_and_methods_have_the_same_error_body(web: TestClient) -> None:
    assert web.post("/run").json()["error"]["kind"] == "not_found"
    assert web.get("/execute").json()["error"]["kind"] == "method_not_allowed"
    assert web.post("/execute", json=body(), headers={"X-Deadline-Seconds": "soon"}).status_code == 422
    assert web.post("/execute", json=body(), headers={"Idempotency-Key": ""}).status_code == 422


def test_batch_takes_jobs_or_a_problem_with_candidates(web: TestClient, judge: StandIn) -> None:
    problem = {"prototype": "int f(int a)", "test_cases": TESTS}
    candidates = [{"id": str(i), "code": "x"} for i in range(3)]
    response = web.post("/execute/batch", json={"problem": problem, "candidates": candidates})
    assert response.headers["content-type"] == "application/x-ndjson"
    assert [r["id"] for r in lines(response)] == ["0", "1", "2"]
    assert [r["verdict"] for r in lines(web.post("/execute/batch", json={"jobs": [body()]}))] == ["AC"]
    for wrong in ({}, {"jobs": []}, {"problem": problem}, {"jobs": [body()], "candidates": candidates}):
        assert web.post("/execute/batch", json=wrong).status_code == 422
    wrong = {"problem": {**problem, "timeout": 1e9}, "candidates": candidates}
    assert "timeout" in web.post("/execute/batch", json=wrong).json()["error"]["message"]
    wrong = {"problem": {"text": "of no known format"}, "candidates": candidates}
    assert web.post("/execute/batch", json=wrong).json()["error"]["kind"] == "invalid_request"


def test_large_bodies_are_refused_without_reading_on(judge: StandIn) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < 1 << 30:
            sent += 1 << 16
            yield b" " * (1 << 16)

    with served(Service(judge)) as url:
        for content in (b" " * ((1 << 20) + 1), endless()):
            response = post(url, content=content)
            assert (response.status_code, response.json()["error"]["kind"]) == (413, "too_large")
            assert "1048576" in response.json()["error"]["message"]
        assert sent < 1 << 28
        assert post(url, "/execute/batch", content=b" " * ((1 << 20) + 1)).status_code == 422
        with closing(http.client.HTTPConnection(url.removeprefix("http://"))) as connection:
            connection.putrequest("POST", "/execute/batch")
            connection.putheader("Content-Length", str((64 << 20) + 1))
            connection.endheaders()
            assert connection.getresponse().status == 413
        assert post(url, json=body()).status_code == 200


def test_full_queue_is_refused_with_the_time_until_there_is_room(judge: StandIn) -> None:
    judge.seconds = 4
    with served(Service(judge, queue_seconds=10)) as url, ThreadPoolExecutor() as pool:
        waiting = [pool.submit(post, url, json=body("wait"))]
        until(lambda: judge.asked)
        waiting.append(pool.submit(post, url, json=body("wait")))
        until(lambda: len(judge.asked) == 2)
        refused = post(url, "/execute/batch", json={"jobs": [body()] * 2})
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "6")  # 8 + 2 * 4 - 10
        assert (refused.json()["error"]["kind"], refused.json()["error"]["retryable"]) == ("queue_full", True)
        assert post(url, json=body()).headers["retry-after"] == "2"
        judge.go.set()
        assert [w.result().json()["verdict"] for w in waiting] == ["AC", "AC"]
        assert judge.metrics.value("sandbox_queue_cpu_seconds") == 0
        # larger than the whole queue, but nothing else is there
        assert len(lines(post(url, "/execute/batch", json={"jobs": [body()] * 20}))) == 20
        assert judge.metrics.value("sandbox_rejected_total") == 2


def test_queue_over_its_bound_is_refused_before_the_body_is_read(judge: StandIn) -> None:
    with served(Service(judge, queue_seconds=5)) as url, ThreadPoolExecutor() as pool:
        large = pool.submit(post, url, "/execute/batch", json={"jobs": [body("wait")] * 9})
        until(lambda: judge.asked)
        refused = post(url, content=b"no json")
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "4")
        judge.go.set()
        assert len(lines(large.result())) == 9


def test_results_leave_as_soon_as_they_are_known(judge: StandIn) -> None:
    jobs = {"jobs": [body("x", "first"), body("wait", "second")]}
    with (
        served(Service(judge)) as url,
        httpx.stream("POST", f"{url}/execute/batch", json=jobs, trust_env=False) as response,
    ):
        found = response.iter_lines()
        assert json.loads(next(found))["id"] == "first"
        judge.go.set()
        assert json.loads(next(found))["id"] == "second"


def test_same_key_joins_the_running_work_and_replays_it_afterwards(judge: StandIn) -> None:
    service = Service(judge)
    jobs = {"jobs": [body("x", "first"), body("wait", "second")]}
    key = {"Idempotency-Key": "k"}
    with served(service) as url, ThreadPoolExecutor() as pool:
        with httpx.stream("POST", f"{url}/execute/batch", json=jobs, headers=key, trust_env=False) as first:
            next(first.iter_lines())
        # the first client has left, the work goes on
        second = pool.submit(post, url, "/execute/batch", json=jobs, headers=key)
        until(lambda: service.metrics.value("sandbox_replays_total") == 1)
        judge.go.set()
        assert [r["id"] for r in lines(second.result())] == ["first", "second"]
        again = post(url, "/execute/batch", json=jobs, headers=key)
        assert again.text == second.result().text
        assert judge.asked == ["first", "second"]
        reused = post(url, "/execute/batch", json={"jobs": [body()]}, headers=key)
        assert (reused.status_code, reused.json()["error"]["kind"]) == (422, "idempotency_key_reused")
        assert post(url, json=body(), headers=key).status_code == 422
        assert post(url, json=body(), headers={"Idempotency-Key": "other"}).json()["verdict"] == "AC"


def test_answers_with_trouble_that_may_pass_are_not_replayed(web: TestClient, judge: StandIn) -> None:
    for _ in range(2):
        found = web.post("/execute", json=body("lost"), headers={"Idempotency-Key": "k"}).json()
        assert found["error"].startswith("worker_lost")
    assert len(judge.asked) == 2


def test_work_whose_client_left_is_dropped_without_a_key(judge: StandIn) -> None:
    service = Service(judge)
    jobs = {"jobs": [body("x", "first"), body("wait", "second"), body("x", "third")]}
    with served(service) as url:
        with httpx.stream("POST", f"{url}/execute/batch", json=jobs, trust_env=False) as response:
            next(response.iter_lines())
        until(service.idle)
        judge.go.set()
        until(lambda: judge.metrics.value("sandbox_queue_depth") == 0)
    assert judge.asked == ["first", "second"]


@pytest.mark.parametrize("code", ["boom", "skip"])
def test_every_job_gets_one_result_when_the_judge_breaks_down(web: TestClient, code: str) -> None:
    found = lines(web.post("/execute/batch", json={"jobs": [body("x", "a"), body(code, "b"), body(code, "a")]}))
    assert [(r["id"], r["verdict"]) for r in found] == [("a", "AC"), ("b", None), ("a", None)]
    assert all(r["error"].startswith("internal: ") for r in found[1:])
    assert all(r["tests_passed"] is None for r in found[1:])


def test_the_earlier_of_both_deadlines_holds(judge: StandIn) -> None:
    with served(Service(judge)) as url, ThreadPoolExecutor() as pool:
        jobs = {"jobs": [body("wait", "a"), body("x", "b")], "deadline_seconds": 0.2}
        late = pool.submit(post, url, "/execute/batch", json=jobs, headers={"X-Deadline-Seconds": "9"})
        until(lambda: judge.asked)
        time.sleep(0.2)
        judge.go.set()
        assert [r["error"] for r in lines(late.result())] == ["queue_timeout: too late"] * 2
        headers = {"X-Deadline-Seconds": "1e-9"}
        assert post(url, json={**body(), "deadline_seconds": 9}, headers=headers).json()["verdict"] is None


def test_tokens_are_checked_replaced_and_never_logged(
    judge: StandIn, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    path = tmp_path / "tokens"
    path.write_text("old-secret\n")
    web = TestClient(create_app(Service(judge, Tokens.from_file(path))))

    def status(token: str, scheme: str = "Bearer") -> int:
        return web.post("/execute", json=body(), headers={"Authorization": f"{scheme} {token}"}).status_code

    assert [status("old-secret"), status("new-secret"), status("old-secret", "Basic")] == [200, 401, 401]
    refused = web.post("/execute", content=b" " * (1 << 21))
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    path.write_text("new-secret\nold-secret\n")
    assert [status("old-secret"), status("new-secret")] == [200, 200]
    path.write_text("new-secret\n")
    assert [status("old-secret"), status("new-secret")] == [401, 200]
    path.write_text("\n")
    assert status("new-secret") == 200
    assert {web.get(p).status_code for p in ("/healthz", "/readyz")} == {200}
    assert {web.get(p).status_code for p in ("/metrics", "/capabilities")} == {401}
    assert "tokens stay as they were" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize("text", ["", "a\nb\nc\n", "caf\u00e9"])
def test_token_files_without_one_or_two_tokens_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tokens"
    path.write_text(text)
    with pytest.raises(ValueError, match="one or two tokens") as raised:
        Tokens.from_file(path)
    assert str(path) in str(raised.value)


def test_trouble_is_told_to_every_request() -> None:
    web = TestClient(create_app(Service(Trouble("isolation_unavailable", "no bwrap; install it"))))
    for path in ("/execute", "/execute/batch", "/cmake", "/analyze"):
        error = web.post(path, json=body())
        assert error.status_code == 503
        assert error.json()["error"] == {
            "kind": "isolation_unavailable",
            "message": "no bwrap; install it",
            "retryable": False,
        }
    assert web.get("/readyz").status_code == 503
    assert web.get("/healthz").status_code == 200
    assert web.get("/capabilities").json()["reason"] == "no bwrap; install it"


def test_draining_refuses_new_work_and_finishes_the_old(judge: StandIn) -> None:
    service = Service(judge)
    key = {"Idempotency-Key": "k"}
    with served(service) as url, ThreadPoolExecutor() as pool:
        running = pool.submit(post, url, json=body("wait"), headers=key)
        until(lambda: judge.asked)
        service.draining = True
        for response in (post(url, json=body()), httpx.get(f"{url}/readyz", trust_env=False)):
            assert (response.status_code, response.json()["error"]["kind"]) == (503, "draining")
            assert response.json()["error"]["retryable"] is True
        joined = pool.submit(post, url, json=body("wait"), headers=key)
        until(lambda: service.metrics.value("sandbox_replays_total") == 1)
        assert not service.idle()
        judge.go.set()
        assert running.result().json()["verdict"] == joined.result().json()["verdict"] == "AC"
        until(service.idle)


def test_closing_answers_what_is_left_with_an_error(judge: StandIn) -> None:
    service = Service(judge)
    with served(service) as url, ThreadPoolExecutor() as pool:
        running = pool.submit(post, url, "/execute/batch", json={"jobs": [body("wait")] * 3})
        until(lambda: judge.asked)
        threading.Thread(target=service.close).start()
        assert len(lines(running.result())) == 3


def test_cmake_and_analysis_share_the_queue(judge: StandIn) -> None:
    web = TestClient(create_app(Service(judge, queue_seconds=1)))
    assert web.post("/cmake", json={"id": "c", "cmake": "project(x)"}).json()["lint_ok"] is True
    assert web.post("/analyze", json={"code": "int x;", "kind": "bugs"}).json()["findings"][0]["kind"] == "bugs"
    outside = {"cmake": "project(x)", "files": [{"path": "../x", "content": ""}]}
    assert web.post("/cmake", json=outside).json()["error"]["kind"] == "invalid_request"
    assert judge.metrics.value("sandbox_queue_depth") == judge.metrics.value("sandbox_inflight") == 0


def test_metrics_of_two_services_are_apart(web: TestClient, judge: StandIn) -> None:
    web.post("/execute", json=body())
    assert "sandbox_queue_wait_seconds_count 1.0" in web.get("/metrics").text
    other = TestClient(create_app(Service(StandIn())))
    assert "sandbox_queue_wait_seconds_count 0.0" in other.get("/metrics").text
    with pytest.raises(KeyError, match="unknown metric"):
        judge.metrics.add("sandbox_surprises_total")
    with pytest.raises(KeyError, match="no label"):
        judge.metrics.add("sandbox_results_total", colour="red")


def test_client_waits_for_room_and_gives_up_in_time(judge: StandIn) -> None:
    with served(Service(judge, queue_seconds=0.5)) as url, ThreadPoolExecutor() as pool:
        running = pool.submit(post, url, json=body("wait"))
        until(lambda: judge.asked)
        with SandboxClient(url, queue_timeout_seconds=0.1) as client, pytest.raises(SandboxUnavailable, match="429"):
            client.verify(Job("j", "x"))
        judge.go.set()
        assert running.result().status_code == 200

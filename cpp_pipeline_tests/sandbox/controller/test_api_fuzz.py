"""Requests that nobody would send: never a 500, never a hang, always an answer of a known form."""

from __future__ import annotations

import asyncio
import json
import math
import random
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cpp_pipeline.sandbox.controller.app import create_app
from cpp_pipeline.sandbox.controller.service import Service
from cpp_pipeline.sandbox.controller.startup import start_service
from cpp_pipeline.sandbox.types import ERRORS
from cpp_pipeline_tests.sandbox.controller.stand_in import StandIn

STATUSES = {200, 413, 422, 429, 503}
ANSWER_SECONDS = 30
CALL = {
    "id": "a",
    "code": "x",
    "prototype": "int f(int a)",
    "test_cases": [{"args": [1], "expected": 2, "after": [None]}],
}
STREAM = {"code": "int main() {}", "test_cases": [{"stdin": "", "expected": "", "compare": "float"}], "timeout": 1.5}
ASSERT = {"code": "int f(int a) { return a; }", "test_cases": [{"assert": "f(1) == 1"}], "caps": {"memory_mb": 64}}
CODE = {"code": "int f(int a) { return a; }", "test_code": "int main() { assert(f(1) == 1); }", "std": "c++17"}
PROBLEM = {"problem": {k: v for k, v in CODE.items() if k != "code"}, "candidates": [{"id": "1", "code": "x"}]}
RECORD = {
    "task_id": "CPP/0",
    "prompt": "int f(int a) {",
    "declaration": "int f(int a) {",
    "test": "int main() { assert(f(1) == 1); }",
    "canonical_solution": "return a; }",
}
MULTIPLE = {"name": "HumanEval_0_f", "language": "cpp", "prompt": "int f(int a) {", "tests": "}\nint main() {}"}
BODIES = {
    "/execute": [CALL, STREAM, ASSERT, CODE],
    "/execute/batch": [
        {"jobs": [CALL, STREAM], "deadline_seconds": 5},
        PROBLEM,
        {"problem": RECORD, "candidates": PROBLEM["candidates"]},
        {"problem": MULTIPLE, "candidates": PROBLEM["candidates"]},
    ],
    "/cmake": [{"cmake": "project(x)", "files": [{"path": "a.cpp", "content": ""}], "packages": []}],
    "/analyze": [{"code": "int x;", "kind": "bugs"}],
}
ODD: list[Any] = [
    *(None, True, False, 0, 1, -1, 1 << 63, -(1 << 70), 10**400, 0.5, -0.0, 1e308, math.nan, math.inf),
    *(
        "",
        "a",
        "\x00",
        "\u2028",
        "\U0001f600",
        "\ud800",
        "../../x",
        "-O3",
        "c++98",
        "nan",
        "f(1) == 1)",
        "/*",
        "x" * 3000,
    ),
    *([], {}, [[]], [0] * 50, {"a": 1}, {"args": [], "expected": None}, {"": {"": [{}]}}),
]
HEADERS: list[dict[str, str]] = [
    *({}, {}, {}, {"Idempotency-Key": "a"}, {"Idempotency-Key": "b"}, {"Idempotency-Key": "x" * 300}),
    *({"X-Deadline-Seconds": text} for text in ("0.001", "5", "-1", "nan", "soon", "1e400")),
]


def places(body: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key) of every value in a body."""
    for key in list(body) if isinstance(body, dict) else range(len(body)) if isinstance(body, list) else ():
        yield body, key
        yield from places(body[key])


def mutated(rng: random.Random) -> tuple[str, bytes, dict[str, str]]:
    """A request that was right before some of its values were replaced, removed or added to; or any bytes."""
    path = rng.choice(list(BODIES))
    headers = rng.choice(HEADERS)
    if rng.random() < 0.05:
        return path, rng.randbytes(rng.randrange(200)), headers
    body = deepcopy(rng.choice(BODIES[path]))
    for _ in range(rng.randrange(4)):
        container, key = rng.choice(list(places(body)) or [({}, "")])
        how = rng.choice(["replace", "remove", "add", "repeat"])
        if how == "replace":
            container[key] = deepcopy(rng.choice(ODD))
        elif how == "remove":
            container.pop(key, None) if isinstance(container, dict) else container.pop(key)
        elif isinstance(container, dict):
            container[rng.choice(["", "id", "caps", "problem", "unheard"])] = deepcopy(rng.choice(ODD))
        else:
            container.extend([container[key]] * rng.randrange(1, 30))
    return path, json.dumps(body).encode(), headers


class Web:
    """An application without a socket."""

    def __init__(self, service: Service) -> None:
        transport = httpx.ASGITransport(create_app(service), raise_app_exceptions=False)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://test")
        self._runner = asyncio.Runner()
        self._service = service

    def post(self, path: str, content: bytes, headers: dict[str, str]) -> httpx.Response:
        async def send() -> httpx.Response:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._client.post(path, content=content, headers=headers)

        return self._runner.run(send())

    def close(self) -> None:
        self._runner.close()
        self._service.close()


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    found = Web(Service(StandIn(seconds=0.01)))
    yield found
    found.close()


@pytest.fixture(scope="module")
def real() -> Iterator[Web]:
    found = Web(start_service(2))
    yield found
    found.close()


def check(web: Web, path: str, content: bytes, headers: dict[str, str]) -> None:
    response = web.post(path, content, headers)
    assert response.status_code in STATUSES, response.text
    if response.status_code != 200:
        error = response.json()["error"]
        assert error.keys() == {"kind", "message", "retryable"}
        assert error["message"]
        return
    for line in response.text.split("\n"):
        result = json.loads(line or "{}")
        if "tests_passed" in result:
            assert (result["verdict"] is None) == (result["tests_passed"] is None) == (result["error"] is not None)
            kind = (result["error"] or "queue_timeout").split(":")[0]
            assert kind in set(ERRORS) - {"internal", "worker_lost"}, result["error"]


@settings(max_examples=300, deadline=None)
@given(st.randoms(use_true_random=True))
def test_any_request_gets_an_answer(web: Web, rng: random.Random) -> None:
    check(web, *mutated(rng))


@pytest.mark.slow
@settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=True))
def test_a_hundred_thousand_requests_get_answers(web: Web, rng: random.Random) -> None:
    for _ in range(100):
        check(web, *mutated(rng))


@pytest.mark.slow
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=True))
def test_any_request_gets_an_answer_of_a_real_judge(real: Web, rng: random.Random) -> None:
    check(real, *mutated(rng))

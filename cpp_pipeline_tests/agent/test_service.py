"""The service over real HTTP."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import httpx
import pytest
import uvicorn

from cpp_pipeline.agent.orchestrator import Orchestrator
from cpp_pipeline.agent.service import MAX_BODY_BYTES, make_app
from cpp_pipeline.sandbox.client import SandboxClient
from cpp_pipeline_tests.agent.test_orchestrator import ScriptedModel, ScriptedRouter


@pytest.fixture
def url(sandbox: SandboxClient) -> Iterator[str]:
    """The service on a free port of loopback."""
    agent = Orchestrator(
        ScriptedRouter("analyze_code", code="$code", analysis_type="style"),
        ScriptedModel(),
        ScriptedModel(),
        sandbox,
    )
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(make_app(agent), log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()


def test_requests_over_http(url: str) -> None:
    with httpx.Client(base_url=url, trust_env=False, timeout=30) as http:
        assert http.get("/healthz").json() == {"status": "ok"}
        body = {"request": "Review $code", "attachments": {"code": "int* p = NULL;\n"}, "seed": 1}
        trace = http.post("/agent", json=body)
        assert trace.status_code == 200
        assert trace.json()["tool"] == "analyze_code"
        assert trace.json()["outcome"]["findings"][0]["line"] == 1
        for bad in (b"{", b"[]", b'{"request": 1}', b'{"request": "x", "a": 1}', b'{"request": "x", "seed": -1}'):
            refused = http.post("/agent", content=bad)
            assert refused.status_code == 400 and refused.json()["error"]
        assert http.post("/agent", json={"request": " "}).status_code == 422
        assert http.post("/agent", content=b"x" * (MAX_BODY_BYTES + 1)).status_code == 413
        assert http.get("/agent").status_code == 405

"""HTTP, isolation, refusal, cleaning up."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from starlette.testclient import TestClient

import cpp_pipeline
from cpp_pipeline.sandbox.__main__ import main
from cpp_pipeline.sandbox.client import SandboxClient, SandboxUnavailable
from cpp_pipeline.sandbox.controller.app import create_app
from cpp_pipeline.sandbox.controller.startup import start_service
from cpp_pipeline.sandbox.isolation import Box, IsolationError, Limits
from cpp_pipeline.sandbox.isolation.bubblewrap import Bubblewrap
from cpp_pipeline.sandbox.isolation.seccomp import denylist
from cpp_pipeline.sandbox.judging.workspace import Workspace
from cpp_pipeline.sandbox.types import Job, reward
from cpp_pipeline_tests.sandbox.controller.stand_in import until

HEAD = "int solve(int a)"
JOB = Job("j", f"{HEAD} {{ return a; }}", HEAD, [{"args": [1], "expected": 1}])
BODY = {"id": "j", "code": JOB.code, "prototype": HEAD, "test_cases": JOB.test_cases}


@pytest.fixture
def boxes() -> Iterator[Bubblewrap]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Bubblewrap(Path(folder))


def test_service_describes_itself(client: SandboxClient, sandbox_url: str) -> None:
    client.verify(JOB)
    assert client.capabilities()["isolation"]["backend"] == "bubblewrap"
    assert httpx.get(f"{sandbox_url}/healthz", trust_env=False).status_code == 200
    assert httpx.get(f"{sandbox_url}/readyz", trust_env=False).json() == {"ready": True}
    text = httpx.get(f"{sandbox_url}/metrics", trust_env=False).text
    assert "# TYPE sandbox_pch_hits_total counter" in text
    assert "sandbox_pch_misses_total 0.0" in text
    assert "sandbox_group_mismatch_total 0.0" in text
    assert 'sandbox_isolation_level{backend="bubblewrap",level="namespaces"} 1.0' in text


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"prototype": "int ("}, "signature 'int ('"),
        ({"test_cases": [{"args": ["text"], "expected": 1}]}, "test 0"),
        ({"test_cases": []}, "no tests"),
        ({"test_cases": [], "test_code": "int main() { assert(solve(1) == unheard_of); }"}, "unheard_of"),
        ({"preamble": "this is no C++;"}, "preamble"),
    ],
)
def test_faults_of_the_data_set_are_errors_and_no_verdicts(
    sandbox_url: str, changed: dict[str, object], told: str
) -> None:
    response = httpx.post(f"{sandbox_url}/execute", json={**BODY, **changed}, timeout=60, trust_env=False)
    found = response.json()
    assert (response.status_code, found["verdict"], found["tests_passed"]) == (200, None, None)
    assert found["error"].startswith("harness_compile_failed: ")
    assert told in found["error"]


def test_without_isolation_nothing_is_executed() -> None:
    service = start_service(1, bwrap="/nonexistent/bwrap", backend="bubblewrap")
    web = TestClient(create_app(service))
    for path, body in (("/execute", BODY), ("/execute/batch", {"jobs": [BODY]})):
        response = web.post(path, json=body)
        assert response.status_code == 503
        assert response.json()["error"]["kind"] == "isolation_unavailable"
        assert "apt-get install bubblewrap" in response.json()["error"]["message"]
    assert web.get("/readyz").status_code == 503


def test_backend_with_an_open_probe_is_refused_by_name() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        # bubblewrap without the system call filter
        weak = Path(folder, "bwrap")
        weak.write_text(
            "#!/bin/bash\nargs=()\nwhile [ $# -gt 0 ]; do\n"
            '  if [ "$1" = --seccomp ]; then shift 2; continue; fi\n'
            '  args+=("$1"); shift\ndone\nexec bwrap "${args[@]}"\n'
        )
        weak.chmod(0o755)
        service = start_service(1, bwrap=str(weak), backend="bubblewrap")
    assert service.judge is None
    assert "probes are open" in service.reason
    assert "ptrace" in service.reason
    assert TestClient(create_app(service)).get("/readyz").json()["error"]["message"] == service.reason


def test_no_isolation_needs_two_consents(monkeypatch: pytest.MonkeyPatch) -> None:
    for allow, environment in ((True, "0"), (False, "1")):
        monkeypatch.setenv("CPP_PIPELINE_ALLOW_UNSAFE", environment)
        service = start_service(1, backend="none", allow_unsafe=allow)
        assert service.judge is None
        assert "CPP_PIPELINE_ALLOW_UNSAFE=1" in service.reason


def test_missing_compiler_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    service = start_service(1, bwrap=shutil.which("bwrap", path="/usr/bin") or "")
    assert service.judge is None
    assert "apt-get install" in service.reason
    assert TestClient(create_app(service)).post("/execute", json=BODY).status_code == 503


def test_public_address_without_token_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--host", "0.0.0.0", "--port", "0"]) == 2
    assert "--token-file" in capsys.readouterr().err


def test_unreachable_controller_is_never_a_score() -> None:
    with SandboxClient("http://127.0.0.1:9", retries=1) as client:
        with pytest.raises(SandboxUnavailable):
            client.batch_verify([JOB])
        with pytest.raises(SandboxUnavailable):
            client.verify(JOB)


def test_connection_that_breaks_in_a_batch_is_an_error_for_the_missing_jobs() -> None:
    line = '{"id": "0", "verdict": "AC", "compile_ok": true, "tests_passed": 1, "tests_total": 1}\n'
    program = (
        "import http.server as h\n"
        "class H(h.BaseHTTPRequestHandler):\n"
        "  def do_POST(self):\n"
        "    self.rfile.read(int(self.headers['content-length']))\n"
        "    self.send_response(200); self.send_header('content-length', '9999'); self.end_headers()\n"
        f"    self.wfile.write({line.encode()!r})\n"
        "s = h.HTTPServer(('127.0.0.1', 0), H); print(s.server_port, flush=True); s.serve_forever()\n"
    )
    server = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        with SandboxClient(f"http://127.0.0.1:{port}", retries=1) as client:
            first, second = client.batch_verify([JOB, JOB])
    finally:
        server.kill()
        server.wait()
        server.stdout.close()
    assert (first.verdict, reward(first)) == ("AC", 1.0)
    assert (second.verdict, second.tests_passed, reward(second)) == (None, None, None)
    assert second.error is not None
    assert second.error.startswith("worker_lost")


def test_box_hides_the_environment_and_is_ended_with_all_its_processes(boxes: Bubblewrap) -> None:
    shown = boxes.run(Box(["/bin/sh", "-c", "env; id -u; ls /; cat /etc/passwd"]))
    assert b"65534" in shown.stdout
    assert set(os.environ) & {line.split(b"=")[0].decode() for line in shown.stdout.splitlines()} <= {
        *("PATH", "LC_ALL", "PWD"),
    }
    assert b"root:" not in shown.stdout
    marker = f"54321{os.getpid()}"
    script = f"(setsid sleep {marker} &) ; sleep {marker}"
    ended = boxes.run(Box(["/bin/sh", "-c", script], Limits(wall_seconds=1.0)))
    assert ended.timed_out
    time.sleep(0.2)
    listing = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert f"sleep {marker}" not in listing


def test_closed_backend_starts_nothing(boxes: Bubblewrap) -> None:
    boxes.close()
    with pytest.raises(IsolationError, match="shutting down"):
        boxes.run(Box(["/bin/true"]))


def test_filter_is_known_for_two_architectures_only() -> None:
    assert len(denylist("x86_64")) % 8 == 0
    assert denylist("aarch64") != denylist("x86_64")
    with pytest.raises(ValueError, match="mips"):
        denylist("mips")


def test_controller_leaves_nothing_behind_and_dies_with_its_parent() -> None:
    program = (
        "import sys, time\nfrom cpp_pipeline.sandbox.local import local_controller\n"
        "with local_controller(1, cache='none') as url:\n  print(url, flush=True)\n  time.sleep(600)\n"
    )
    folder = Path(cpp_pipeline.__path__[0]).parent
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=folder)
    assert parent.stdout is not None
    url = parent.stdout.readline().decode().strip()
    assert httpx.get(f"{url}/healthz", trust_env=False).status_code == 200
    children = ["ps", "-o", "pid=", "--ppid", str(parent.pid)]
    child = subprocess.run(children, capture_output=True, text=True, check=True).stdout.strip()
    opened = [Path(os.readlink(entry)) for entry in Path(f"/proc/{child}/fd").iterdir()]
    made = [path.parent for path in opened if path.name == "lock"]
    assert [path.name.startswith("cpp-pipeline-sandbox-") for path in made] == [True]
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    until(lambda: not _answers(url), 30)
    until(lambda: not made[0].exists(), 30)


@contextmanager
def controller(*arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A controller as users start it, and its address."""
    argv = [sys.executable, "-m", "cpp_pipeline.sandbox", "serve", "--port", "0", "--cache", "none", *arguments]
    folder = Path(cpp_pipeline.__path__[0]).parent
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=folder)
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().decode().strip().removeprefix("listening ")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def spinning(count: int) -> dict[str, object]:
    code = "volatile long x = 0; while (x >= 0) x = x / 2; return 0;"
    jobs = [{**BODY, "id": str(i), "code": f"{HEAD} {{ {code} }} int n{i};", "timeout": 2} for i in range(count)]
    return {"jobs": [{**job, "caps": {"call_seconds": 2}} for job in jobs]}


def test_work_under_way_is_finished_when_the_controller_is_told_to_stop() -> None:
    with (
        controller("--drain-seconds", "60") as (process, url),
        httpx.stream("POST", f"{url}/execute/batch", json=spinning(2), timeout=60, trust_env=False) as response,
    ):
        process.send_signal(signal.SIGTERM)
        until(lambda: httpx.get(f"{url}/readyz", trust_env=False).status_code == 503)
        refused = httpx.post(f"{url}/execute", json=BODY, trust_env=False)
        assert refused.json()["error"] == {
            "kind": "draining",
            "message": "this controller is stopping; send the request again",
            "retryable": True,
        }
        assert [json.loads(line)["verdict"] for line in response.iter_lines()] == ["TLE"] * 2
        assert process.wait(30) == 0


def test_work_that_is_not_finished_in_time_is_an_error_and_no_verdict() -> None:
    with (
        controller("--drain-seconds", "0") as (process, url),
        httpx.stream("POST", f"{url}/execute/batch", json=spinning(20), timeout=60, trust_env=False) as response,
    ):
        process.send_signal(signal.SIGTERM)
        results = [json.loads(line) for line in response.iter_lines()]
        assert sorted(int(r["id"]) for r in results) == list(range(20))
        lost = [r for r in results if r["verdict"] is None]
        assert lost
        assert all(r["error"].startswith("worker_lost") for r in lost)
        assert process.wait(30) == 0


def test_idle_controller_stops_without_waiting_and_takes_a_token_from_a_file(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret\n")
    with controller("--drain-seconds", "1000", "--token-file", str(token), "--host", "0.0.0.0") as (process, bound):
        url = bound.replace("0.0.0.0", "127.0.0.1")
        assert httpx.get(f"{url}/metrics", trust_env=False).status_code == 401
        headers = {"Authorization": "Bearer secret"}
        assert httpx.post(f"{url}/execute", json=BODY, headers=headers, trust_env=False).json()["verdict"] == "AC"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_folder_of_a_killed_judge_is_removed_by_the_next_and_a_live_one_is_kept() -> None:
    program = (
        "import os, signal\nfrom cpp_pipeline.sandbox.judging.workspace import Workspace\n"
        "print(Workspace().path, flush=True)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    folder = Path(cpp_pipeline.__path__[0]).parent
    killed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=folder, check=False)
    left = Path(killed.stdout.strip())
    assert left.name.startswith("cpp-pipeline-sandbox-")
    live = Workspace()
    other = Workspace()
    assert not left.exists()
    assert live.path.exists()
    live.close()
    other.close()
    assert not live.path.exists()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", timeout=2, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False

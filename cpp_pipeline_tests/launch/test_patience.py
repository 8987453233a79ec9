"""Storage that is away is waited for; storage that refuses ends a Job at once, with one line that says what to do."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from upath import UPath

from cpp_pipeline.launch.patience import Patience, StorageFailed
from cpp_pipeline.launch.remote_entry import DO_NOT_RETRY
from cpp_pipeline_tests.launch.test_remote_entry import TRAIN, command, result, run, steps, until


class Storage(ThreadingHTTPServer):
    """A GCS server in front of the real one, which can refuse."""

    code = 0
    """The status that every request gets; 0: the real answer."""

    def __init__(self, real: str) -> None:
        super().__init__(("127.0.0.1", 0), type("Bound", (Answer,), {"real": real}))


class Answer(BaseHTTPRequestHandler):
    real: str
    server: Storage

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if self.server.code:
            words = {"error": {"code": self.server.code, "message": "someone@example.com does not have the right"}}
            self._send(self.server.code, json.dumps(words).encode(), "application/json")
            return
        sent = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "content-length", "accept-encoding")}
        answer = httpx.request(self.command, self.real + self.path, content=body, headers=sent, trust_env=False)
        self._send(answer.status_code, answer.content, answer.headers.get("content-type", "text/plain"), answer.headers)

    def _send(self, code: int, body: bytes, kind: str, more: Mapping[str, str] | None = None) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name in ("x-goog-hash", "x-goog-generation", "etag"):
            if more and name in more:
                self.send_header(name, more[name])
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = _answer


@pytest.fixture
def storage(gcs_server: str, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Storage]:
    """Storage that can be told to refuse; processes that the test starts use it."""
    server = Storage(gcs_server)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}")
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    assert "Traceback" not in done.stderr, done.stderr
    return done.stderr.splitlines()[-1]


def test_a_bucket_that_does_not_let_the_account_in_is_told_once_and_not_tried_again(
    storage: Storage, bucket: str
) -> None:
    steps(UPath(bucket), 5)
    storage.code = 403
    done = run(UPath(bucket))
    assert done.returncode == DO_NOT_RETRY
    told = f"remote_entry: error: CPP_PIPELINE_ROOT names {bucket}, and this account may not use it"
    assert last_line(done).startswith(told) and "roles/storage.objectUser" in last_line(done)


def test_a_bucket_that_is_not_there_and_a_missing_account_are_not_tried_again(
    gcs_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = UPath(f"gs://bucket-{uuid.uuid4().hex[:12]}")
    missing = run(root)
    assert missing.returncode == DO_NOT_RETRY and "no such bucket: create it" in last_line(missing)
    monkeypatch.delenv("STORAGE_EMULATOR_HOST")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    nobody = run(root, flags=("--patience_seconds=0.2",))
    assert nobody.returncode == DO_NOT_RETRY and "no usable credentials" in last_line(nobody)


def test_storage_that_is_away_is_waited_for_and_then_another_attempt_may_try(storage: Storage, bucket: str) -> None:
    steps(UPath(bucket), 5)
    storage.code = 501  # of what the client itself tries again, a test would take long
    done = run(UPath(bucket), flags=("--patience_seconds=0.2",))
    assert done.returncode == 1 and "CPP_PIPELINE_ROOT" in last_line(done)
    assert last_line(done).startswith("remote_entry: error: ")


def test_a_result_outlasts_storage_that_is_away_when_it_is_finished(storage: Storage, bucket: str) -> None:
    root = UPath(bucket)
    steps(root, 5)
    quiet = ("--sync_seconds=60", "--patience_seconds=60")
    late = TRAIN + "print('finished', flush=True); sys.stdin.readline()"
    process = subprocess.Popen(
        command(root, sys.executable, "-c", late, "@input/data", "@output", flags=quiet),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    until(process, "finished")
    storage.code = 501
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.close()
    until(process, "trying again")
    storage.code = 0
    assert process.wait(60) == 0
    assert result(root) == {"steps": 5}


def test_who_is_told_to_end_waits_no_longer() -> None:
    told: list[str] = []

    def away() -> None:
        raise OSError("no route")

    with pytest.raises(StorageFailed, match="no route") as failed:
        Patience(600.0, told.append, lambda: len(told) == 1)(away)
    assert len(told) == 1 and not failed.value.is_final

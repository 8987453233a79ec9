"""Buckets that cannot be used: one clear error each, which names the setting and what to do."""

from __future__ import annotations

import json
import socket
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from cpp_pipeline.doctor import examine, storage
from cpp_pipeline.storage import gcs
from cpp_pipeline.storage.gcs import BucketError
from cpp_pipeline.storage.store import Store
from cpp_pipeline_tests.commands import tell
from cpp_pipeline_tests.gcs.fixtures import objects


def unknown() -> str:
    """A name that no test has used: a bucket that could be reached once is not asked again."""
    return f"gs://bucket-{uuid.uuid4().hex[:12]}"


class Answering(BaseHTTPRequestHandler):
    """A server of storage, or of tokens, that answers in JSON."""

    def answer(self, code: int, words: dict[str, Any]) -> None:
        body = json.dumps(words).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(handler: type[Answering]) -> Iterator[str]:
    """URL of a server on loopback."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def answer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A server that gives every request one status, as storage words its errors."""
    code = int(request.param)

    class Handler(Answering):
        def do_GET(self) -> None:
            words = {"code": code, "message": "someone@example.com does not have storage.objects.list"}
            self.answer(code, {"error": words})

    with serving(Handler) as url:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
        yield code


@pytest.mark.parametrize("use", ["read", "write", "list"])
def test_a_missing_bucket(gcs_server: str, use: str) -> None:
    root = unknown()
    asked = {
        "read": lambda: Store(root).provenance("base_checkpoint"),
        "write": lambda: Store(root).write_text("x", ""),
        "list": lambda: Store(root).partitions("repo_dump"),
    }
    with pytest.raises(BucketError, match=f"CPP_PIPELINE_ROOT names {root}, .* no such bucket: create it"):
        asked[use]()


@pytest.mark.parametrize("answer", [403], indirect=True)
def test_an_account_without_permission(answer: int) -> None:
    root = unknown()
    with pytest.raises(BucketError, match=rf"CPP_PIPELINE_ROOT names {root}, .* may not .*roles/storage.objectUser"):
        Store(root).partitions("repo_dump")


@pytest.mark.parametrize("answer", [401], indirect=True)
def test_credentials_that_are_not_taken(answer: int) -> None:
    root = unknown()
    with pytest.raises(BucketError, match=f"CPP_PIPELINE_ROOT names {root}, .* no usable credentials"):
        Store(root).partitions("repo_dump")


def test_no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("STORAGE_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    root = unknown()
    with pytest.raises(BucketError, match=f"CPP_PIPELINE_ROOT names {root}, .* no usable credentials .*gcloud auth"):
        Store(root).partitions("repo_dump")


def use_account(url: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give this process a service account whose tokens, and whose storage, come from a server."""
    key = rsa.generate_private_key(65537, 2048)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    found = {"type": "service_account", "client_email": "someone@example.com", "token_uri": f"{url}/token"}
    path = folder / "key.json"
    path.write_text(json.dumps({**found, "private_key": key.private_bytes(*form).decode()}))
    for name in ("STORAGE_EMULATOR_HOST", "GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(folder))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("API_ENDPOINT_OVERRIDE", url)


@pytest.fixture
def account_without_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Credentials of a service account that name no project, and a storage for them; its requests' `Authorization`."""
    asked: list[str] = []

    class Handler(Answering):
        def do_GET(self) -> None:
            asked.append(self.headers.get("Authorization", ""))
            self.answer(200, {"kind": "storage#objects"})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.answer(200, {"access_token": "a-token", "expires_in": 3600, "token_type": "Bearer"})

    with serving(Handler) as url:
        use_account(url, tmp_path, monkeypatch)
        yield asked


def test_credentials_without_a_project_suffice(account_without_project: list[str]) -> None:
    assert Store(unknown()).partitions("repo_dump") == []
    assert set(account_without_project) == {"Bearer a-token"}


def test_storage_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
    monkeypatch.setattr(gcs, "PATIENCE_SECONDS", 0.1)
    root = unknown()
    with pytest.raises(BucketError, match=f"CPP_PIPELINE_ROOT names {root}, .* cannot be reached .* kept"):
        Store(root).partitions("repo_dump")


def test_the_client_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.cloud", None)
    root = unknown()
    with pytest.raises(BucketError, match=rf"CPP_PIPELINE_ROOT={root}: .* pip install 'cpp_pipeline\[gcs\]'"):
        Store(root).partitions("repo_dump")


@pytest.mark.parametrize("command", [["run"], ["report"], ["dumps", "list"], ["unlock"]])
def test_the_command_line_says_it_in_one_line(
    gcs_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    root = unknown()
    done = tell(*command, "--root", root)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert done.stderr.startswith(f"error: CPP_PIPELINE_ROOT names {root}, and there is no such bucket")


def test_the_doctor_tries_the_bucket(bucket: str) -> None:
    (good,) = [f for f in examine(bucket) if f.subject == "storage"]
    assert (good.level, good.found) == ("ok", f"{bucket} can be read and written")
    missing, mistyped = storage(unknown()), storage("gs:/typo")
    assert missing.level == mistyped.level == "missing"
    assert missing.found.startswith("CPP_PIPELINE_ROOT names gs://")
    assert mistyped.found.startswith("CPP_PIPELINE_ROOT=gs:/typo/.doctor-")
    assert objects(bucket) == {}

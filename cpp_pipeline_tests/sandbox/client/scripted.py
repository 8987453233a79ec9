"""A server that answers what a test tells it to, for troubles that a real controller cannot be made to have."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Asked:
    """One request."""

    path: str
    key: str
    body: Any

    @property
    def codes(self) -> list[str]:
        """Code of each job."""
        return [job["code"] for job in self.body.get("jobs", [self.body])]


@dataclass(frozen=True)
class Reply:
    """One answer; `cut` breaks the connection after it, before its end."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False


def line(job: dict[str, Any], **fields: Any) -> bytes:
    """The line of an AC, or of whatever `fields` say."""
    good = {"id": job["id"], "verdict": "AC", "compile_ok": True, "tests_passed": 1, "tests_total": 1}
    return json.dumps({**good, **fields}, ensure_ascii=False).encode() + b"\n"


def lost(job: dict[str, Any], kind: str = "worker_lost") -> bytes:
    """The line of an error."""
    return line(job, verdict=None, compile_ok=None, tests_passed=None, error=f"{kind}: why")


def passed(asked: Asked) -> Reply:
    """Every job is an AC."""
    return Reply(body=b"".join(line(job) for job in asked.body.get("jobs", [asked.body])))


@contextmanager
def scripted(answer: Callable[[Asked], Reply]) -> Iterator[tuple[str, list[Asked]]]:
    """Address of a server whose every answer is `answer(request)`, and the requests so far."""
    seen: list[Asked] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("content-length", 0)))
            asked = Asked(self.path, self.headers["Idempotency-Key"], json.loads(raw) if raw else None)
            seen.append(asked)
            reply = answer(asked)
            self.send_response(reply.status)
            self.send_header("content-length", str(len(reply.body) + reply.cut))
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", seen
        finally:
            server.shutdown()
            thread.join()

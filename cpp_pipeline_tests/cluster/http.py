"""The API over HTTP: paths, verbs, lists, watches, logs, and errors as `Status` objects."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from cpp_pipeline_tests.cluster.kubelet import stamp
from cpp_pipeline_tests.cluster.objects import KINDS, ApiError, Object, group_of, has_fields, matches, qualified

if TYPE_CHECKING:
    from cpp_pipeline_tests.cluster.simulator import Simulator

PATH = re.compile(
    r"/(?:api/v1|apis/(?P<group>batch/v1|agents\.x-k8s\.io/v1beta1|extensions\.agents\.x-k8s\.io/v1beta1))"
    r"(?:/namespaces/(?P<namespace>[^/]+)(?=/))?"
    r"/(?P<resource>[a-z]+)(?:/(?P<name>[^/]+))?(?:/(?P<part>[a-z]+))?"
)
BOOKMARK_SECONDS = 1.0
SERVER_VERSION = {
    "major": "1",
    "minor": "36",
    "gitVersion": "v1.36.2",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "",
    "goVersion": "",
    "compiler": "gc",
    "platform": "linux/amd64",
}


class Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    simulator: Simulator

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._answer("get")

    def do_POST(self) -> None:
        self._answer("create")

    def do_DELETE(self) -> None:
        self._answer("delete")

    def do_PATCH(self) -> None:
        self._answer("patch")

    def do_PUT(self) -> None:
        self._answer("update")

    def _answer(self, verb: str) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body: Object = json.loads(self.rfile.read(length) or b"{}")
        split = urlsplit(self.path)
        query = {k: v[-1] for k, v in parse_qs(split.query).items()}
        try:
            if self.simulator.broken:
                raise ApiError(503, "ServiceUnavailable", "apiserver is shutting down")
            self._route(verb, split.path, query, body)
        except ApiError as error:
            self._send(error.code, error.status())
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _route(self, verb: str, path: str, query: dict[str, str], body: Object) -> None:
        if path.rstrip("/") == "/version":
            self._send(200, SERVER_VERSION)
            return
        found = PATH.fullmatch(unquote(path))
        if found is None or KINDS.get(found["resource"], ("", ""))[1] != (found["group"] or "v1"):
            raise ApiError(404, "NotFound", "the server could not find the requested resource")
        namespace, resource, name, part = found.group("namespace", "resource", "name", "part")
        self._authorize(verb, resource, namespace, name, part, query)
        api = self.simulator
        if verb == "get" and part == "log":
            self._log(namespace, name, query)
        elif verb == "create" and part == "eviction":
            api.evict(namespace, name)
            self._send(201, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201})
        elif verb == "get" and name:
            with api.objects.changed:
                self._send(200, api.objects.get(resource, namespace or "", name))
        elif verb == "get" and query.get("watch") in ("true", "True", "1"):
            self._stream(self._watch(resource, namespace, query))
        elif verb == "get":
            self._send(200, self._list(resource, namespace, query))
        elif verb == "create":
            self._send(201, api.create(resource, namespace or "", body, query.get("dryRun") == "All"))
        elif verb == "patch":
            self._send(200, api.patch(resource, namespace or "", name, body))
        elif verb == "delete" and name:
            self._send(200, api.delete(resource, namespace or "", name, {**query, **body}))
        else:
            raise ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")

    def _authorize(
        self, verb: str, resource: str, namespace: str | None, name: str, part: str, query: dict[str, str]
    ) -> None:
        if verb == "get" and not name:
            verb = "watch" if "watch" in query else "list"
        wanted = f"{resource}/{part}" if part else resource
        allowed = self.simulator.allowed
        if (verb, wanted) in self.simulator.denied or (allowed is not None and verb not in allowed.get(wanted, ())):
            message = (
                f"{qualified(resource)}{f' {chr(34)}{name}{chr(34)}' if name else ''} is forbidden: "
                f'User "system:serviceaccount:{namespace}:default" cannot {verb} resource "{wanted}" '
                f'in API group "{group_of(resource)}" in the namespace "{namespace}"'
            )
            raise ApiError(403, "Forbidden", message)

    def _send(self, code: int, body: Object) -> None:
        with self.simulator.objects.changed:
            text = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _stream(self, lines: Iterator[bytes], content: str = "application/json") -> None:
        first = next(lines, None)  # an error of the request itself is no stream yet
        self.send_response(200)
        self.send_header("Content-Type", content)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while first is not None:
            if first:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(first), first))
                self.wfile.flush()
            first = next(lines, None)
        self.wfile.write(b"0\r\n\r\n")

    def _keep(self, query: dict[str, str], thing: Object) -> bool:
        labels = thing["metadata"].get("labels", {})
        fits = matches(labels, query.get("labelSelector", ""))
        return fits and has_fields(thing, query.get("fieldSelector", ""))

    def _list(self, resource: str, namespace: str | None, query: dict[str, str]) -> Object:
        objects = self.simulator.objects
        kind, version = KINDS[resource]
        with objects.changed:
            items = objects.find(resource, namespace, lambda o: self._keep(query, o))
            meta = {"resourceVersion": str(objects.version)}
            return {"kind": f"{kind}List", "apiVersion": version, "metadata": meta, "items": items}

    def _watch(self, resource: str, namespace: str | None, query: dict[str, str]) -> Iterator[bytes]:
        objects = self.simulator.objects
        end = time.monotonic() + float(query.get("timeoutSeconds", 1800))
        version = int(query.get("resourceVersion") or 0)
        if version == 0:
            with objects.changed:
                version = objects.version
                there = objects.find(resource, namespace, lambda o: self._keep(query, o))
                yield b"".join(_event("ADDED", o) for o in there)
        yield b""
        marked = time.monotonic()
        try:
            for change in objects.follow(version, lambda: time.monotonic() >= end or self.simulator.stopped):
                if change is not None:
                    version = change.version
                    where = change.object["metadata"].get("namespace", "")
                    mine = change.resource == resource and namespace in (None, where)
                    yield _event(change.type, change.object) if mine and self._keep(query, change.object) else b""
                elif query.get("allowWatchBookmarks") and time.monotonic() - marked > BOOKMARK_SECONDS:
                    marked = time.monotonic()
                    kind, api = KINDS[resource]
                    meta = {"resourceVersion": str(version), "creationTimestamp": None}
                    yield _event("BOOKMARK", {"kind": kind, "apiVersion": api, "metadata": meta})
        except ApiError as error:
            yield _event("ERROR", error.status())

    def _log(self, namespace: str, name: str, query: dict[str, str]) -> None:
        api = self.simulator
        with api.objects.changed:
            pod = api.objects.get("pods", namespace, name)
            attempts = api.kubelet.logs.get(pod["metadata"]["uid"], [])
            previous = query.get("previous") in ("true", "True")
            if previous and len(attempts) < 2:
                message = f'previous terminated container "main" in pod "{name}" not found'
                raise ApiError(400, "BadRequest", message)
            if not attempts:
                message = f'container "main" in pod "{name}" is waiting to start: ContainerCreating'
                raise ApiError(400, "BadRequest", message)
            log = attempts[-2 if previous else -1]
        self._stream(self._lines(log, query), "text/plain")

    def _lines(self, log: Any, query: dict[str, str]) -> Iterator[bytes]:
        stamped = query.get("timestamps") in ("true", "True")
        since = stamp(-float(query["sinceSeconds"])) if "sinceSeconds" in query else ""
        place = 0
        if "tailLines" in query:
            place = max(0, len(log.lines) - int(query["tailLines"]))
        yield b""
        while True:
            with self.simulator.objects.changed:
                ended = log.ended or self.simulator.stopped or self.simulator.drop_logs
                fresh, place = log.lines[place:], len(log.lines)
                if not fresh and not ended and query.get("follow") in ("true", "True"):
                    self.simulator.objects.changed.wait(0.1)
            for at, line in fresh:
                if at >= since:
                    yield (at.encode() + b" " if stamped else b"") + line + b"\n"
            if query.get("follow") not in ("true", "True") or (ended and not fresh):
                return
            yield b""


def _event(kind: str, thing: Object) -> bytes:
    return json.dumps({"type": kind, "object": thing}).encode() + b"\n"


class Server(ThreadingHTTPServer):
    """The server of one simulator, on a free port of loopback."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, simulator: Simulator) -> None:
        super().__init__(("127.0.0.1", 0), type("Bound", (Handler,), {"simulator": simulator}))

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error; others are shown by the base class."""
        import sys

        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

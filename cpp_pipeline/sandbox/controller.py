"""The execution controller: HTTP in front of the judge.

Belongs here: routes, validation, admission, authentication. Not here: judging.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from cpp_pipeline.sandbox.analyze import analyse
from cpp_pipeline.sandbox.cmake import check, judge_cmake
from cpp_pipeline.sandbox.isolation import IsolationError
from cpp_pipeline.sandbox.judge import Judge
from cpp_pipeline.sandbox.metrics import Metrics
from cpp_pipeline.sandbox.toolchain import ToolchainError
from cpp_pipeline.sandbox.types import ANALYSES, STANDARDS, CMakeJob, CMakeResult, Job, Result

logger = logging.getLogger(__name__)
REQUEST_CAP, BATCH_CAP = 1 << 20, 64 << 20
_MAX_PENDING = 20_000
_SECONDS_PER_JOB = 0.1
Model = TypeVar("Model", bound=BaseModel)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Test(_Strict):
    args: list[Any]
    expected: Any


class _Execute(_Strict):
    id: str = Field(default="", max_length=500)
    code: str = Field(max_length=200_000)
    signature: str = Field(max_length=2000)
    tests: list[_Test] = Field(min_length=1, max_length=2000)
    preamble: str = Field(default="", max_length=100_000)
    std: Literal["c++17", "c++20", "c++23"] = "c++20"
    timeout_seconds: float = Field(default=5.0, ge=0.05, le=60.0)

    def job(self) -> Job:
        values = self.model_dump()
        return Job(**values)


class _Batch(_Strict):
    jobs: list[_Execute] = Field(max_length=20_000)


class _File(_Strict):
    path: str = Field(max_length=400)
    content: str


class _Package(_Strict):
    package: str
    target: str


class _CMake(_Strict):
    id: str = ""
    cmake: str = Field(max_length=200_000)
    files: list[_File] = []
    packages: list[_Package] = []
    build: bool = False


class _Analyze(_Strict):
    code: str = Field(max_length=200_000)
    kind: Literal["bugs", "performance", "style"]


class _Refused(Exception):
    def __init__(self, status: int, kind: str, message: str, retryable: bool = False) -> None:
        super().__init__(message)
        self.status, self.kind, self.message, self.retryable = status, kind, message, retryable


@dataclass
class Service:
    """What the routes need: a judge, or the reason why there is none."""

    judge: Judge | None
    reason: str = ""
    token: str | None = None
    max_pending: int = _MAX_PENDING
    metrics: Metrics = field(default_factory=Metrics)
    pending: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def require(self) -> Judge:
        """The judge; refuses with 503 when nothing here isolates."""
        if self.judge is None:
            raise _Refused(503, "isolation_unavailable", self.reason)
        return self.judge

    def admit(self, jobs: int) -> None:
        """Count jobs in; refuses with 429 when the queue is full."""
        with self.lock:
            if self.pending and self.pending + jobs > self.max_pending:
                self.metrics.add("sandbox_rejected_total")
                raise _Refused(429, "queue_full", f"{self.pending} jobs are waiting", retryable=True)
            self.pending += jobs
            self.metrics.add("sandbox_pending_jobs", jobs)

    def release(self, jobs: int) -> None:
        """Count jobs out."""
        with self.lock:
            self.pending -= jobs
            self.metrics.add("sandbox_pending_jobs", -jobs)

    @contextmanager
    def admitted(self, jobs: int) -> Iterator[None]:
        """`admit` and `release` around a block."""
        self.admit(jobs)
        try:
            yield
        finally:
            self.release(jobs)


async def _body(request: Request, model: type[Model], cap: int) -> Model:
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > cap:
            raise _Refused(413, "too_large", f"more than {cap} bytes")
    try:
        return model.model_validate_json(bytes(data))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[:5]
        raise _Refused(422, "invalid_request", json.dumps(first, default=str)) from error


def _authorise(request: Request, service: Service) -> None:
    if service.token is None:
        return
    given = request.headers.get("authorization", "").encode()
    if not hmac.compare_digest(given, f"Bearer {service.token}".encode()):
        raise _Refused(401, "unauthorized", "bearer token is missing or wrong")


def _lines(judge: Judge, jobs: list[Job], service: Service) -> Iterator[bytes]:
    left = len(jobs)
    try:
        for result in judge.batch(jobs):
            left -= 1
            service.release(1)
            yield _line(result)
    finally:
        service.release(left)


def _line(result: Result) -> bytes:
    return json.dumps(result.to_json(), allow_nan=False).encode() + b"\n"


def create_app(service: Service) -> Starlette:
    """The ASGI application for a service; who made the service closes its judge."""

    async def execute(request: Request) -> Response:
        _authorise(request, service)
        judge = service.require()
        job = (await _body(request, _Execute, REQUEST_CAP)).job()
        with service.admitted(1):
            result = await asyncio.to_thread(lambda: next(judge.batch([job])))
        return Response(_line(result), media_type="application/json")

    async def batch(request: Request) -> Response:
        _authorise(request, service)
        judge = service.require()
        jobs = [e.job() for e in (await _body(request, _Batch, BATCH_CAP)).jobs]
        service.admit(len(jobs))
        return StreamingResponse(_lines(judge, jobs, service), media_type="application/x-ndjson")

    async def cmake(request: Request) -> Response:
        _authorise(request, service)
        judge = service.require()
        job = CMakeJob(**(await _body(request, _CMake, BATCH_CAP)).model_dump())
        try:
            check(job)
        except ValueError as error:
            raise _Refused(422, "invalid_request", str(error)) from error
        with service.admitted(1):
            work = judge.submit(lambda: judge_cmake(judge.boxes, judge.work, job))
            try:
                result = await asyncio.wrap_future(work)
            except (IsolationError, OSError) as error:
                text = f"worker_lost: {error}"
                result = CMakeResult(job.id, "lint", None, None, None, error=text)
        return JSONResponse(asdict(result))  # type: ignore[call-overload]

    async def analyze(request: Request) -> Response:
        _authorise(request, service)
        judge = service.require()
        body = await _body(request, _Analyze, REQUEST_CAP)
        with service.admitted(1):
            work = judge.submit(lambda: analyse(judge.toolchain, body.code, body.kind))
            try:
                findings = await asyncio.wrap_future(work)
            except (IsolationError, OSError) as error:
                raise _Refused(503, "worker_lost", str(error), retryable=True) from error
        return JSONResponse({"findings": [asdict(f) for f in findings]})  # type: ignore[attr-defined]

    async def healthz(_: Request) -> Response:
        return JSONResponse({"ok": True})

    async def readyz(_: Request) -> Response:
        service.require()
        return JSONResponse({"ready": True})

    async def capabilities(request: Request) -> Response:
        _authorise(request, service)
        judge = service.judge
        return JSONResponse(
            {
                "isolation": judge.boxes.name if judge else "none",
                "reason": service.reason,
                "compiler": judge.toolchain.version if judge else None,
                "standards": list(STANDARDS),
                "analyses": list(ANALYSES),
                "workers": judge.workers if judge else 0,
                "harness": {"mode": "rpc", "forgeable": False},
            }
        )

    async def metrics(request: Request) -> Response:
        _authorise(request, service)
        return PlainTextResponse(service.metrics.text(), media_type="text/plain; version=0.0.4")

    routes = [
        *(Route("/execute", execute, methods=["POST"]), Route("/execute/batch", batch, methods=["POST"])),
        *(Route("/cmake", cmake, methods=["POST"]), Route("/analyze", analyze, methods=["POST"])),
        *(Route("/healthz", healthz), Route("/readyz", readyz)),
        *(Route("/capabilities", capabilities), Route("/metrics", metrics)),
    ]
    return Starlette(routes=routes, exception_handlers={_Refused: _refuse, ToolchainError: _internal})


async def _refuse(_: Request, error: Exception) -> Response:
    assert isinstance(error, _Refused)
    content = {"error": {"kind": error.kind, "message": error.message, "retryable": error.retryable}}
    headers = {"Retry-After": "1"} if error.status == 429 else {}
    return JSONResponse(content, error.status, headers)


async def _internal(_: Request, error: Exception) -> Response:
    logger.error("internal trouble", exc_info=error)
    content = {"error": {"kind": "internal", "message": str(error), "retryable": False}}
    return JSONResponse(content, 500)

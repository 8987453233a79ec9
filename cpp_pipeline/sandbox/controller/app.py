"""The execution controller: HTTP in front of the judge.

Belongs here: routes, authentication, the description in OpenAPI. Not here: admission and threads
(`service`), what holds for every route (`web`), judging (`judge`).
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header
from fastapi.openapi.utils import get_openapi
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ValidationError
from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from cpp_pipeline.sandbox.cmake import check
from cpp_pipeline.sandbox.controller.replays import Answer
from cpp_pipeline.sandbox.controller.requests import AnalyzeRequest, BatchRequest, CMakeRequest, ExecuteRequest, Problem
from cpp_pipeline.sandbox.controller.responses import (
    CMakeRecord,
    ErrorRecord,
    FindingsRecord,
    Healthy,
    Ready,
    ResultRecord,
)
from cpp_pipeline.sandbox.controller.service import Service
from cpp_pipeline.sandbox.controller.web import (
    BATCH_CAP,
    REQUEST_CAP,
    Lines,
    Refused,
    beside,
    explained,
    install_error_bodies,
    joined,
    parse,
    read_body,
    unless_gone,
)
from cpp_pipeline.sandbox.isolation import IsolationError
from cpp_pipeline.sandbox.types import CMakeResult, Job

_CONFIGURE_SECONDS, _BUILD_SECONDS, _ANALYSE_SECONDS = 2.0, 8.0, 2.0
"""Expected CPU seconds of the work that the judge does not estimate."""
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        description="A request that comes again with the same key and body is not judged again: it joins the first "
        "one, or gets its answer from the beginning. With another body it is refused with 422.",
    ),
]
Within = Annotated[
    float | None,
    Header(alias="X-Deadline-Seconds", gt=0, le=86_400, description="As deadline_seconds; the earlier one holds"),
]
_BEARER = HTTPBearer(auto_error=False, description="Needed where the controller was started with --token-file")
_BODIES: tuple[type[BaseModel], ...] = (ExecuteRequest, BatchRequest, CMakeRequest, AnalyzeRequest, Problem)
_TEXTS = {
    401: "Token missing or wrong",
    413: "Body too large",
    422: "Body or header does not fit",
    429: "Queue full; Retry-After says when to come again",
    503: "Nothing can be judged here, or the controller is stopping",
}
_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorRecord, "description": text} for status, text in _TEXTS.items()
}


def _body(model: type[BaseModel]) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def create_app(service: Service) -> FastAPI:
    """The ASGI application for a service; who made the service closes it."""

    async def authorise(request: Request, _: Annotated[object, Depends(_BEARER)]) -> None:
        if service.tokens and not service.tokens.accept(request.headers.get("authorization", "")):
            message = "bearer token is missing or wrong; send Authorization: Bearer <token>"
            raise Refused(401, "unauthorized", message, headers={"WWW-Authenticate": "Bearer"})

    app = FastAPI(title="C++ execution controller", version="1", docs_url=None, redoc_url=None)
    install_error_bodies(app, service.metrics)
    _add_judging(app, service, [Depends(authorise)])
    _add_other_work(app, service, [Depends(authorise)])
    _add_state(app, service, [Depends(authorise)])
    _describe(app)
    return app


def _add_judging(app: FastAPI, service: Service, authorised: list[Any]) -> None:
    async def answer(
        request: Request, model: type[ExecuteRequest | BatchRequest], cap: int, key: str | None, within: float | None
    ) -> Answer:
        arrived = time.monotonic()
        if key is None or key not in service.replays:
            service.require_room()
        data = await read_body(request, cap)
        digest = await beside(data, lambda: hashlib.sha256(f"{request.url.path}\n".encode() + data).digest())
        earlier = service.replay(key, digest)
        if earlier is not None:
            return earlier
        service.require()
        body = await parse(model, data)
        seconds = [s for s in (within, body.deadline_seconds) if s is not None]
        deadline = arrived + min(seconds) if seconds else None
        return service.start(await beside(data, lambda: _jobs(body)), deadline, key, digest)

    errors: dict[str, Any] = {"responses": _ERRORS, "dependencies": authorised}

    @app.post("/execute", response_model=ResultRecord, openapi_extra=_body(ExecuteRequest), **errors)
    async def execute(request: Request, key: Key = None, within: Within = None) -> Response:
        """Judge one candidate; 200 for every verdict, and for a job whose own tests are at fault."""
        lines = await answer(request, ExecuteRequest, REQUEST_CAP, key, within)
        return Response(await unless_gone(request.receive, joined(lines)), media_type="application/json")

    streamed: dict[int | str, dict[str, Any]] = {
        200: {"model": ResultRecord, "description": "NDJSON: one result a line, in the order they are known"}
    }

    @app.post(
        "/execute/batch",
        status_code=200,
        response_class=Lines,
        openapi_extra=_body(BatchRequest),
        responses={**_ERRORS, **streamed},
        dependencies=authorised,
    )
    async def batch(request: Request, key: Key = None, within: Within = None) -> Response:
        """Judge many candidates; each job gets exactly one line."""
        return Lines(await answer(request, BatchRequest, BATCH_CAP, key, within))


def _jobs(body: ExecuteRequest | BatchRequest) -> list[Job]:
    try:
        return [body.job()] if isinstance(body, ExecuteRequest) else body.to_jobs()
    except ValueError as error:
        text = explained(error) if isinstance(error, ValidationError) else str(error)
        raise Refused(422, "invalid_request", f"problem: {text}") from error


def _add_other_work(app: FastAPI, service: Service, authorised: list[Any]) -> None:
    errors: dict[str, Any] = {"responses": _ERRORS, "dependencies": authorised}

    @app.post("/cmake", response_model=CMakeRecord, openapi_extra=_body(CMakeRequest), **errors)
    async def cmake(request: Request) -> Response:
        """Check, configure and perhaps build a CMakeLists.txt."""
        service.require_room()
        body = await parse(CMakeRequest, await read_body(request, BATCH_CAP))
        job = body.job()
        try:
            check(job)
        except ValueError as error:
            raise Refused(422, "invalid_request", str(error)) from error
        cost = _BUILD_SECONDS if job.build else _CONFIGURE_SECONDS
        work = asyncio.wrap_future(service.submit(cost, lambda judge: judge.cmake(job)))
        try:
            result = await unless_gone(request.receive, work)
        except (IsolationError, OSError) as error:
            text = f"worker_lost: {error}"
            result = CMakeResult(job.id, "lint", None, None, None, error=text)
        return JSONResponse(asdict(result))

    @app.post("/analyze", response_model=FindingsRecord, openapi_extra=_body(AnalyzeRequest), **errors)
    async def analyze(request: Request) -> Response:
        """Findings of the compiler's checks about bugs, performance or style."""
        service.require_room()
        body = await parse(AnalyzeRequest, await read_body(request, REQUEST_CAP))
        work = asyncio.wrap_future(service.submit(_ANALYSE_SECONDS, lambda judge: judge.analyse(body.code, body.kind)))
        try:
            findings = await unless_gone(request.receive, work)
        except (IsolationError, OSError) as error:
            raise Refused(503, "worker_lost", str(error), retryable=True) from error
        return JSONResponse({"findings": [asdict(f) for f in findings]})


def _add_state(app: FastAPI, service: Service, authorised: list[Any]) -> None:
    @app.get("/healthz", response_model=Healthy)
    async def healthz() -> Response:
        """The process answers; needs no token."""
        return JSONResponse({"ok": True})

    @app.get("/readyz", response_model=Ready, responses={503: _ERRORS[503]})
    async def readyz() -> Response:
        """Work is accepted; otherwise 503 with the reason. Needs no token."""
        service.require()
        return JSONResponse({"ready": True})

    @app.get("/capabilities", responses={401: _ERRORS[401]}, dependencies=authorised)
    async def capabilities() -> dict[str, Any]:
        """What is judged here, how it is isolated, and the bounds of requests."""
        found = service.judge.capabilities() if service.judge else {"isolation": {"backend": None, "level": None}}
        limits = {"request_bytes": REQUEST_CAP, "batch_bytes": BATCH_CAP, "queue_cpu_seconds": service.admission.bound}
        return {**found, "limits": limits, "reason": service.reason}

    @app.get("/metrics", response_class=PlainTextResponse, responses={401: _ERRORS[401]}, dependencies=authorised)
    async def metrics() -> Response:
        """Numbers in the Prometheus text format."""
        return PlainTextResponse(service.metrics.text(), media_type="text/plain; version=0.0.4")


def _describe(app: FastAPI) -> None:
    """Serve OpenAPI with the request bodies, which the routes read themselves to bound them."""
    schema = get_openapi(title=app.title, version=app.version, routes=app.routes)
    modes: Any = [(model, "validation") for model in _BODIES]
    _, bodies = models_json_schema(modes, ref_template="#/components/schemas/{model}")
    schema["components"]["schemas"].update(bodies["$defs"])
    app.openapi = lambda: schema  # type: ignore[method-assign]

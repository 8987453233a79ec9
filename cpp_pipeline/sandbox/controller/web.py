"""HTTP below the routes: bodies with a bound, refusals, and answers that come line by line.

Belongs here: what holds for every route. Not here: routes (`controller`), and what is admitted (`service`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from cpp_pipeline.sandbox.controller.replays import Abandoned, Answer
from cpp_pipeline.sandbox.metrics import Metrics

logger = logging.getLogger(__name__)
REQUEST_CAP, BATCH_CAP = 1 << 20, 64 << 20
"""Most bytes of one request, and of a batch."""
_BODY_SECONDS = 60.0
_LINGER_SECONDS, _LINGER_BYTES = 1.0, 8 << 20
_INLINE_BYTES = 64 << 10
_SHOWN_ERRORS, _SHOWN_CHARS = 5, 80
Model = TypeVar("Model", bound=BaseModel)
T = TypeVar("T")


class Refused(Exception):
    """A request that gets an error body instead of an answer."""

    def __init__(
        self, status: int, kind: str, message: str, retryable: bool = False, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.kind, self.message, self.retryable = status, kind, message, retryable
        self.headers = dict(headers or {})


class ClientGone(Exception):
    """The client closed the connection before its answer."""


async def read_body(request: Request, cap: int) -> bytes:
    """The body; refuses with 413 as soon as it is known to be larger than `cap` bytes, without reading on."""
    length = request.headers.get("content-length", "")
    data = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            if length.isdecimal() and int(length) > cap:
                raise _too_large(f"{length} bytes", cap)
            async for chunk in request.stream():
                data += chunk
                if len(data) > cap:
                    raise _too_large(f"at least {len(data)} bytes", cap)
    except TimeoutError:
        message = f"the body did not come within {_BODY_SECONDS:g} s; send it at once"
        raise Refused(408, "request_timeout", message, retryable=True) from None
    request.state.body_read = True
    return bytes(data)


def _too_large(found: str, cap: int) -> Refused:
    return Refused(413, "too_large", f"the body has {found}, at most {cap} are read; send fewer jobs or shorter code")


async def beside(data: bytes, work: Callable[[], T]) -> T:
    """What `work` gives, done in a thread where `data` is so large that the event loop would stand still."""
    return work() if len(data) <= _INLINE_BYTES else await asyncio.to_thread(work)


async def parse(model: type[Model], data: bytes) -> Model:
    """The body as a model; refuses with 422, naming the fields."""
    try:
        return await beside(data, lambda: model.model_validate_json(data))
    except ValidationError as error:
        raise Refused(422, "invalid_request", explained(error)) from error


def explained(error: ValidationError | RequestValidationError) -> str:
    """What is wrong with which field and what was found there, for at most five fields."""
    found = error.errors(include_url=False) if isinstance(error, ValidationError) else error.errors()
    texts = []
    for entry in found[:_SHOWN_ERRORS]:
        field = ".".join(str(part) for part in entry["loc"]) or "body"
        text = entry["msg"].removeprefix("Value error, ")
        if entry["type"] == "extra_forbidden":
            text = "there is no such field; /openapi.json lists the fields"
        elif entry["type"] not in ("missing", "json_invalid", "value_error"):
            text += f", found {repr(entry['input'])[:_SHOWN_CHARS]}"
        texts.append(f"{field}: {text}")
    more = [f"and {len(found) - _SHOWN_ERRORS} more"] if len(found) > _SHOWN_ERRORS else []
    return "; ".join([*texts, *more])


async def unless_gone(receive: Receive, work: Awaitable[T]) -> T:
    """The result of `work`; when the client leaves first, `work` is cancelled and ClientGone raised."""
    tasks: list[asyncio.Future[Any]] = [asyncio.ensure_future(work), asyncio.create_task(_gone(receive))]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if not tasks[0].done():
            raise ClientGone
        return tasks[0].result()  # type: ignore[no-any-return]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def joined(answer: Answer) -> bytes:
    """All lines of an answer."""
    async with contextlib.aclosing(answer.lines()) as lines:
        return b"".join([chunk async for chunk in lines])


class Lines(Response):
    """An answer as NDJSON, each line sent when it is known; a client that leaves ends its reading."""

    media_type = "application/x-ndjson"

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        del self.headers["content-length"]
        self.answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with contextlib.suppress(ClientGone, Abandoned):
            await unless_gone(receive, self._send(send))

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async with contextlib.aclosing(self.answer.lines()) as lines:
            async for chunk in lines:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class _Refusal(JSONResponse):
    """An error body; where the request's body was not read, the connection is closed behind it.

    The client may still be sending: closing at once would reset the connection, and the error be lost. So what comes
    within a second is thrown away first, up to a bound.
    """

    def __init__(self, refused: Refused, linger: bool) -> None:
        error = {"kind": refused.kind, "message": refused.message, "retryable": refused.retryable}
        headers = refused.headers | ({"Connection": "close"} if linger else {})
        super().__init__({"error": error}, refused.status, headers)
        self.linger = linger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": self.linger})
        if self.linger:
            thrown = 0
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LINGER_SECONDS):
                    while thrown < _LINGER_BYTES and (message := await receive()).get("more_body"):
                        thrown += len(message["body"])
            await send({"type": "http.response.body", "body": b"", "more_body": False})


def _refusal(request: Request, refused: Refused) -> Response:
    length = request.headers.get("content-length", "0" if request.method == "GET" else "")
    small = length.isdecimal() and int(length) <= REQUEST_CAP and "transfer-encoding" not in request.headers
    return _Refusal(refused, linger=not small and not getattr(request.state, "body_read", False))


def install_error_bodies(app: FastAPI, metrics: Metrics) -> None:
    """Give every failure of the application the same error body, and count refused work."""

    def refusal(request: Request, refused: Refused) -> Response:
        if request.method == "POST":
            metrics.add("sandbox_rejected_total", kind=refused.kind)
        return _refusal(request, refused)

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, Refused)
        return refusal(request, error)

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return refusal(request, Refused(422, "invalid_request", explained(error)))

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        kind = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "invalid_request")
        message = f"{request.method} {request.url.path}: {error.detail}; /openapi.json lists the routes"
        return refusal(request, Refused(error.status_code, kind, message, headers=error.headers))

    async def gone(_: Request, __: Exception) -> Response:
        return Response(status_code=499)  # never sent: nobody is there

    async def abandoned(request: Request, _: Exception) -> Response:
        return refusal(request, Refused(503, "worker_lost", "the work was dropped; send it again", retryable=True))

    async def internal(request: Request, error: Exception) -> Response:
        logger.error("internal trouble", exc_info=error)
        return refusal(request, Refused(500, "internal", f"a fault of the sandbox: {type(error).__name__}: {error}"))

    app.add_exception_handler(Refused, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(ClientGone, gone)
    app.add_exception_handler(Abandoned, abandoned)
    app.add_exception_handler(Exception, internal)

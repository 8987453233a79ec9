"""The agent over HTTP.

    POST /agent    {"request": "...", "attachments": {"code": "..."}, "seed": 0}  ->  the trace
    GET  /healthz  {"status": "ok"}

Belongs here: requests, limits and status codes. Does not belong here: what the agent does (`orchestrator`).
400: not JSON or not of this form; 413: body too large; 422: the request itself cannot be used.
"""

from __future__ import annotations

import json
import threading
from typing import Any

from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from cpp_pipeline.agent.inputs import AttachmentError
from cpp_pipeline.agent.orchestrator import Orchestrator

MAX_BODY_BYTES = 1_000_000


class RequestError(ValueError):
    """A body that is not a request; the message says what is wanted."""


def read_body(body: bytes) -> tuple[str, dict[str, str], int]:
    """Request, attachments and seed of a body.

    Raises
    ------
    RequestError
        Naming the field that is wrong.
    """
    try:
        data = json.loads(body)
    except ValueError as e:
        raise RequestError(f"the body is not JSON: {e}") from None
    if not isinstance(data, dict) or not isinstance(data.get("request"), str):
        raise RequestError('send a JSON object with "request" (text)')
    if unknown := sorted(data.keys() - {"request", "attachments", "seed"}):
        raise RequestError(f"unknown fields {unknown}; known: request, attachments, seed")
    attachments, seed = data.get("attachments", {}), data.get("seed", 0)
    if not isinstance(attachments, dict) or not all(isinstance(v, str) for v in attachments.values()):
        raise RequestError('"attachments" is an object of texts')
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**31:
        raise RequestError('"seed" is a whole number from 0 to 2147483647')
    return data["request"], attachments, seed


def make_app(agent: Orchestrator) -> Starlette:
    """The application; one request at a time, for the models share one machine."""
    busy = threading.Lock()

    def run(request: str, attachments: dict[str, str], seed: int) -> dict[str, Any]:
        with busy:
            return agent.run(request, attachments, seed).to_json()

    async def answer(http: Request) -> JSONResponse:
        body = b""
        async for chunk in http.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                return JSONResponse({"error": f"more than {MAX_BODY_BYTES} bytes"}, 413)
        try:
            request, attachments, seed = read_body(body)
        except RequestError as e:
            return JSONResponse({"error": str(e)}, 400)
        try:
            return JSONResponse(await run_sync(run, request, attachments, seed))
        except AttachmentError as e:
            return JSONResponse({"error": str(e)}, 422)

    async def health(_: Request) -> JSONResponse:
        return JSONResponse({"status": "ok"})

    return Starlette(routes=[Route("/agent", answer, methods=["POST"]), Route("/healthz", health, methods=["GET"])])

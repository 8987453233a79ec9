"""HTTP to one controller: a request and its repetitions.

Belongs here: connections, headers, JSON, one answer of a controller. Not here: budgets and pauses (`resilience`),
batches (`batches`).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import httpx

from cpp_pipeline.sandbox.client.resilience import Attempts, Budget, Health, Passing, Refusal
from cpp_pipeline.sandbox.types import Result

TROUBLE = (Refusal, httpx.RequestError, ValueError, KeyError, TypeError)
"""What an attempt may end in besides an answer: nothing came, or what came is no answer of ours."""
_PASSING = ("worker_lost", "internal", "pool_exhausted")
T = TypeVar("T")


class Channel:
    """Connections to one controller, with what is known of its health."""

    def __init__(self, url: str, token: str | None, timeout: httpx.Timeout, budget: Budget, health: Health) -> None:
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        # an idle connection is dropped before a server does so; the environment's proxies are for the outside world
        limits = httpx.Limits(max_connections=100, max_keepalive_connections=8, keepalive_expiry=2.0)
        self.http = httpx.AsyncClient(base_url=url, headers=headers, timeout=timeout, limits=limits, trust_env=False)
        self.budget, self.health = budget, health

    def attempts(self) -> Attempts:
        """The attempts of a new call."""
        return Attempts(self.budget, self.health)

    async def ask(self, path: str, body: dict[str, Any] | None, parse: Callable[[dict[str, Any]], T]) -> T:
        """The parsed answer to one request (GET without a body).

        Raises
        ------
        SandboxUnavailable
            No answer can be had.
        ValueError
            The body cannot be written as JSON.
        """
        content = None if body is None else encoded(body, path)
        attempts, key = self.attempts(), new_key()
        with self.health.call():
            while True:
                trouble: Exception
                try:
                    async with self.answer(path, content, key) as response:
                        data = dict(json.loads(await response.aread()))
                    answer = parse(data)
                    if attempts.spent or not may_pass(data.get("error")):
                        return answer
                    trouble, key = Passing(data["error"]), new_key()
                except TROUBLE as error:
                    trouble = error
                await attempts.pause(trouble)

    @asynccontextmanager
    async def answer(self, path: str, content: bytes | None, key: str) -> AsyncIterator[httpx.Response]:
        """One attempt: a response of status 200 whose body is not read yet; raises one of `TROUBLE`.

        `key` is the Idempotency-Key: the same for a repetition of the same request, and for nothing else.
        """
        method = "GET" if content is None else "POST"
        async with self.http.stream(method, path, content=content, headers={"Idempotency-Key": key}) as response:
            self.health.answered(response.status_code)
            if response.status_code != 200:
                await response.aread()
                raise Refusal(response)
            yield response


async def lines(response: httpx.Response) -> AsyncIterator[bytes]:
    """Lines of a body; not httpx's, which also end at characters that JSON text may hold, such as U+2028."""
    rest = b""
    async for part in response.aiter_bytes():
        *found, rest = (rest + part).split(b"\n")
        for line in found:
            yield line
    if rest:
        yield rest


def judged(data: dict[str, Any]) -> Result:
    """A result as it came; raises ValueError, KeyError or TypeError when it is none."""
    result = Result.from_json(data)
    if (result.verdict is None) == (result.error is None):
        raise ValueError(f"job {result.id!r}: a result is either a verdict or an error")
    return result


def encoded(body: dict[str, Any], what: str) -> bytes:
    """JSON of `body`; raises ValueError that names `what` where there is none."""
    try:
        text = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what} cannot be sent as JSON: {error}") from error
    return text.encode("utf-8", "replace")  # half of a surrogate pair is no character


def new_key() -> str:
    """A key for a request that is no repetition."""
    return uuid.uuid4().hex


def may_pass(error: str | None) -> bool:
    """True for trouble of the machine that judged, which another attempt may not meet."""
    return error is not None and error.split(":")[0] in _PASSING

"""A batch as seen by the client: chunks, what is sent again, results as they arrive.

Belongs here: the way of each job of a batch to exactly one result. Not here: HTTP (`channel`).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from cpp_pipeline.sandbox.client.channel import TROUBLE, Channel, encoded, judged, lines, may_pass, new_key
from cpp_pipeline.sandbox.client.resilience import Passing, SandboxUnavailable
from cpp_pipeline.sandbox.types import Job, Result

_CHUNK_BYTES = 8 << 20
Numbered = tuple[int, Result]


@dataclass
class Chunk:
    """Jobs of one request that have no result yet, and the latest error of each that may pass."""

    left: dict[int, tuple[Job, bytes]] = field(default_factory=dict)
    failed: dict[int, Result] = field(default_factory=dict)
    size: int = 0

    def body(self) -> bytes:
        """The request."""
        return b'{"jobs":[' + b",".join(data for _, data in self.left.values()) + b"]}"

    def take(self, data: dict[str, Any]) -> Numbered | None:
        """One line of the answer; its result when that is final and new."""
        position = int(data["id"])
        if position not in self.left:
            return None
        result = judged({**data, "id": self.left[position][0].id})
        if may_pass(result.error):
            self.failed[position] = result
            return None
        del self.left[position]
        self.failed.pop(position, None)
        return position, result

    def passing(self) -> Passing:
        """Why the jobs that are left were not judged, where the answer itself was whole."""
        example = next((str(r.error) for r in self.failed.values()), "no line for them came")
        return Passing(f"{len(self.left)} jobs have no verdict: {example}")

    def give_up(self, trouble: SandboxUnavailable) -> Iterator[Numbered]:
        """Errors for the jobs that are left."""
        for position, (job, _) in self.left.items():
            text = f"worker_lost: no result came from the controller: {trouble}"
            lost = Result(job.id, None, None, None, len(job.test_cases), error=text)
            yield position, self.failed.get(position, lost)


def chunks(jobs: Iterable[Job], most: int) -> Iterator[Chunk]:
    """Requests of at most `most` jobs and about 8 MB; raises ValueError for a job that JSON cannot carry."""
    chunk = Chunk()
    for position, job in enumerate(jobs):
        # jobs travel under their position, since the caller's ids need not be distinct
        data = encoded({**asdict(job), "id": str(position)}, f"job {job.id!r}")
        if chunk.left and (len(chunk.left) >= most or chunk.size + len(data) > _CHUNK_BYTES):
            yield chunk
            chunk = Chunk()
        chunk.left[position] = (job, data)
        chunk.size += len(data)
    if chunk.left:
        yield chunk


class Batch:
    """One batch on its way: `concurrency` requests of `chunk_jobs` jobs at a time."""

    def __init__(self, channel: Channel, chunk_jobs: int, concurrency: int) -> None:
        self._channel, self._chunk_jobs, self._concurrency = channel, chunk_jobs, concurrency
        self._queue: asyncio.Queue[Numbered | Exception | None] = asyncio.Queue(2 * chunk_jobs)
        self._begun = False
        self._given_up: SandboxUnavailable | None = None

    async def results(self, jobs: Iterable[Job]) -> AsyncGenerator[Numbered, None]:
        """Position and result of each job, as they arrive; the requests end with the iterator."""
        producer = asyncio.create_task(self._produce(chunks(jobs, self._chunk_jobs)))
        try:
            while (item := await self._queue.get()) is not None:
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            producer.cancel()
            with suppress(asyncio.CancelledError):
                await producer

    async def _produce(self, work: Iterator[Chunk]) -> None:
        """Judge all chunks; for the circuit breaker they are one call. Puts the end, or what it was ended by."""
        end: Exception | None = None
        try:
            with self._channel.health.call():
                try:
                    async with asyncio.TaskGroup() as group:
                        for _ in range(self._concurrency):
                            group.create_task(self._work(work))
                except ExceptionGroup as errors:
                    end = errors.exceptions[0]
                trouble = end or self._given_up
                if isinstance(trouble, SandboxUnavailable):
                    raise trouble
        except SandboxUnavailable as error:
            end = None if error is self._given_up else error
        await self._queue.put(end)

    async def _work(self, work: Iterator[Chunk]) -> None:
        for chunk in work:
            try:
                await self._judge(chunk)
            except SandboxUnavailable as trouble:
                # a controller that gave nothing at all is an exception; one that broke down later, errors
                if trouble.final or not (self._begun or chunk.failed):
                    raise
                self._given_up = trouble
                for item in chunk.give_up(trouble):
                    await self._emit(item)

    async def _judge(self, chunk: Chunk) -> None:
        """Ask until no job of the chunk is left; raises SandboxUnavailable when the attempts are used up."""
        attempts, key = self._channel.attempts(), new_key()
        while True:
            before, heard = len(chunk.left), False
            trouble: Exception | None = None
            try:
                async with self._channel.answer("/execute/batch", chunk.body(), key) as response:
                    async for line in lines(response):
                        heard = True
                        if item := chunk.take(json.loads(line)):
                            await self._emit(item)
            except TROUBLE as error:
                trouble = error
                if len(chunk.left) < before:
                    attempts.progressed()
            if not chunk.left:
                return
            if heard:  # another body, or the same jobs again because of their errors: no repetition
                key = new_key()
            await attempts.pause(trouble or chunk.passing())

    async def _emit(self, item: Numbered) -> None:
        self._begun = True
        await self._queue.put(item)

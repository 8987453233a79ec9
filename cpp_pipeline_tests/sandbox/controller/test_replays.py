"""One writer and many readers of an answer, and the store of answers by key."""

from __future__ import annotations

import asyncio
import threading
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpp_pipeline.sandbox.controller import replays
from cpp_pipeline.sandbox.controller.replays import Abandoned, Answer, KeyReused, Replays


def finished(*lines: bytes) -> Answer:
    answer = Answer(kept=True)
    for line in lines:
        answer.put(line)
    answer.finish()
    return answer


async def read(answer: Answer) -> bytes:
    async with aclosing(answer.lines()) as lines:
        return b"".join([chunk async for chunk in lines])


@given(st.lists(st.binary(max_size=20), max_size=30), st.booleans(), st.integers(1, 4))
def test_every_reader_gets_all_lines_in_order(lines: list[bytes], kept: bool, readers: int) -> None:
    answer = Answer(kept)

    def write() -> None:
        for line in lines:
            answer.put(line)
        answer.finish()

    async def all_read() -> list[bytes]:
        reading = [asyncio.create_task(read(answer)) for _ in range(readers)]
        await asyncio.sleep(0)
        threading.Thread(target=write).start()
        return await asyncio.gather(*reading)

    assert asyncio.run(all_read()) == [b"".join(lines)] * readers


def test_writer_waits_for_a_slow_reader_and_lets_go_what_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replays, "AHEAD_BYTES", 100)
    answer = Answer()
    ahead = 0

    def write() -> None:
        for _ in range(100):
            answer.put(b"x" * 40)
        answer.finish()

    async def slowly() -> int:
        nonlocal ahead
        writer = threading.Thread(target=write)
        size = 0
        async with aclosing(answer.lines()) as lines:
            writer.start()
            async for chunk in lines:
                size += len(chunk)
                ahead = max(ahead, answer.size)
                await asyncio.sleep(0.001)
        await asyncio.to_thread(writer.join)
        return size

    assert asyncio.run(slowly()) == 4000
    assert ahead <= 140


def test_reader_that_stands_still_is_told_that_the_rest_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replays, "AHEAD_BYTES", 10)
    monkeypatch.setattr(replays, "_STALLED_SECONDS", 0.05)
    answer = Answer()

    async def stand_still() -> None:
        async with aclosing(answer.lines()) as lines:
            answer.put(b"x")
            await anext(lines)
            assert await asyncio.to_thread(answer.put, b"y" * 20) is False
            answer.finish()
            async for _ in lines:
                pass

    with pytest.raises(Abandoned):
        asyncio.run(stand_still())


def test_work_is_withdrawn_when_its_last_reader_leaves_unless_it_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    async def glance(answer: Answer) -> None:
        async with aclosing(answer.lines()) as lines:
            await anext(lines)

    told = []
    for kept in (False, True):
        answer = Answer(kept)
        answer.on_abandoned(lambda kept=kept: told.append(kept))
        answer.put(b"x")
        asyncio.run(glance(answer))
        assert answer.put(b"y") is kept
    assert told == [False]
    monkeypatch.setattr(replays, "_GRACE_SECONDS", 0.0)
    assert answer.put(b"z") is False


def test_store_lets_go_the_oldest_finished_answers_first() -> None:
    store = Replays(most=3, most_bytes=100)
    running = Answer(kept=True)
    store.keep("running", b"", running)
    for key in "abc":
        store.keep(key, key.encode(), finished(b"x"))
        store.trim()
    assert [key in store for key in ("running", *"abc")] == [True, False, True, True]
    store.keep("large", b"", finished(b"x" * 98))
    store.trim()
    assert [key in store for key in ("running", "b", "c", "large")] == [True, False, True, True]
    running.put(b"x" * 200)
    store.trim()
    assert "running" not in store
    assert not running.kept


def test_key_with_another_body_is_refused() -> None:
    store = Replays()
    answer = finished(b"line")
    store.keep("k", b"digest", answer)
    assert store.find("other", b"digest") is None
    found = store.find("k", b"digest")
    assert found is not None
    assert asyncio.run(read(found)) == b"line"
    with pytest.raises(KeyReused):
        store.find("k", b"another")
    store.forget(answer)
    assert store.find("k", b"another") is None

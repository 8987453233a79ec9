"""The client: every way of asking, every job one result, and nothing left behind."""

from __future__ import annotations

import asyncio
import os
import threading
from collections import Counter
from contextlib import aclosing

import pytest

from cpp_pipeline.sandbox.client import AsyncSandboxClient, SandboxClient, SandboxUnavailable
from cpp_pipeline.sandbox.types import Job, Result, reward
from cpp_pipeline_tests.sandbox.client.scripted import Asked, Reply, line, lost, passed, scripted

HEAD = "int solve(int a)"
TESTS = [{"args": [n], "expected": 2 * n} for n in (1, 2)]
BODIES = {"AC": "return 2 * a;", "PA": "return 2;", "WA": "return 0;", "CE": "return b;"}


def _job(code: str, name: str = "j") -> Job:
    return Job(name, code, HEAD, TESTS)


def _real(count: int) -> list[Job]:
    """Programs that differ; the name of each begins with its verdict."""
    kinds = [list(BODIES)[n % len(BODIES)] for n in range(count)]
    return [_job(f"{HEAD} {{ int x{n}; {BODIES[k]} }}", f"{k}-{n}") for n, k in enumerate(kinds)]


def _facts(results: list[Result]) -> list[tuple[str, str | None, str | None]]:
    return [(r.id, r.verdict, r.error) for r in results]


def _wanted(jobs: list[Job]) -> list[tuple[str, str | None, str | None]]:
    return [(j.id, j.id.split("-")[0], None) for j in jobs]


# ---- every way of asking ----


def test_every_way_of_asking_gives_each_job_its_verdict_once(sandbox_url: str) -> None:
    jobs = _real(6)
    with SandboxClient(sandbox_url, chunk_jobs=4, concurrency=2) as client:
        seen: list[Result] = []
        assert _facts(client.batch_verify(jobs, on_result=seen.append)) == _wanted(jobs)
        assert sorted(_facts(seen)) == sorted(_wanted(jobs))
        assert sorted(_facts(list(client.stream(iter(jobs))))) == sorted(_wanted(jobs))
        assert _facts([client.verify(job) for job in jobs[:4]]) == _wanted(jobs[:4])
        assert client.batch_verify([]) == []

    async def ask() -> None:
        async with AsyncSandboxClient(sandbox_url, chunk_jobs=5, concurrency=2) as client:
            assert _facts(await client.batch_verify(jobs)) == _wanted(jobs)
            assert sorted(_facts([r async for r in client.stream(jobs)])) == sorted(_wanted(jobs))
            assert _facts(list(await asyncio.gather(*map(client.verify, jobs[:4])))) == _wanted(jobs[:4])

    asyncio.run(ask())


def test_jobs_need_no_distinct_names(client: SandboxClient) -> None:
    jobs = [_job(f"{HEAD} {{ {body} }}", "same") for body in BODIES.values()]
    assert [(r.id, r.verdict) for r in client.batch_verify(jobs)] == [("same", v) for v in BODIES]


def test_one_client_serves_several_threads(client: SandboxClient) -> None:
    jobs = _real(8)
    found: dict[int, list[Result]] = {}
    threads = [
        threading.Thread(target=lambda n=n: found.update({n: client.batch_verify(jobs[n:])}))  # type: ignore[misc]
        for n in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {n: _facts(r) for n, r in found.items()} == {n: _wanted(jobs[n:]) for n in range(6)}


def test_it_works_inside_a_running_loop(client: SandboxClient) -> None:
    async def cell() -> list[Result]:
        return client.batch_verify(_real(3))

    assert _facts(asyncio.run(cell())) == _wanted(_real(3))


def test_progress_is_drawn_on_stderr(client: SandboxClient, capsys: pytest.CaptureFixture[str]) -> None:
    client.batch_verify(_real(3), progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "0 errors" in err
    assert "3/3" in err


def test_a_job_that_json_cannot_carry_is_named(client: SandboxClient) -> None:
    bad = Job("odd one", "", HEAD, [{"args": [float("nan")], "expected": 1}])
    with pytest.raises(ValueError, match="odd one.*JSON"):
        client.batch_verify([*_real(2), bad])
    with pytest.raises(ValueError, match="JSON"):
        client.verify(bad)
    half = _job(f'{HEAD} {{ return 2 * a; }} // \ud800"', "AC-0")
    assert _facts([*client.batch_verify([half]), client.verify(half)]) == [("AC-0", "AC", None)] * 2


# ---- threads, sockets, the end ----


def test_nothing_is_left_after_close(sandbox_url: str) -> None:
    def left() -> tuple[int, int]:
        return threading.active_count(), len(os.listdir("/proc/self/fd"))

    before = left()
    for _ in range(3):
        with SandboxClient(sandbox_url) as client:
            client.batch_verify(_real(2))
            for _ in client.stream(_real(4)):
                break  # an abandoned stream is ended too
    client.close()
    assert left() == before
    with pytest.raises(RuntimeError, match="closed"):
        client.verify(_real(1)[0])


def test_close_ends_the_calls_of_other_threads() -> None:
    go, arrived = threading.Event(), threading.Semaphore(0)

    def hang(asked: Asked) -> Reply:
        arrived.release()
        go.wait()
        return passed(asked)

    caught: list[str] = []

    def call(client: SandboxClient, batch: bool) -> None:
        try:
            client.batch_verify([_job("a")]) if batch else client.verify(_job("a"))
        except SandboxUnavailable as error:
            caught.append(str(error))

    with scripted(hang) as (url, _):
        client = SandboxClient(url)
        threads = [threading.Thread(target=call, args=(client, batch)) for batch in (True, False)]
        for thread in threads:
            thread.start()
            arrived.acquire()
        client.close()
        for thread in threads:
            thread.join()
        go.set()
    assert len(caught) == 2
    assert all("closed" in text for text in caught)


def test_what_on_result_raises_ends_the_batch_and_not_the_client() -> None:
    with scripted(passed) as (url, _), SandboxClient(url) as client:

        def stop(result: Result) -> None:
            raise KeyError(result.id)

        with pytest.raises(KeyError, match="first"):
            client.batch_verify([_job("a", "first"), _job("b")], on_result=stop)
        assert client.verify(_job("a")).verdict == "AC"


def test_a_stream_that_is_left_early_ends_its_requests() -> None:
    go = threading.Event()

    def slow(asked: Asked) -> Reply:
        if asked.codes != ["a"]:
            go.wait()
        return passed(asked)

    async def first() -> Result:
        async with AsyncSandboxClient(url, chunk_jobs=1) as client:
            async with aclosing(client.stream([_job(c, c) for c in "abcdefg"])) as found:
                result = await anext(found)
            assert asyncio.all_tasks() == {asyncio.current_task()}
            return result

    with scripted(slow) as (url, seen):
        assert asyncio.run(first()).id == "a"
        go.set()
    assert len(seen) <= 5  # those that were on their way, and none of those behind


# ---- batches ----


def test_requests_run_side_by_side_but_no_more_than_allowed() -> None:
    lock, meet = threading.Lock(), threading.Barrier(3)
    inside, peak, count = 0, 0, 0

    def busy(asked: Asked) -> Reply:
        nonlocal inside, peak, count
        with lock:
            inside, count = inside + 1, count + 1
            peak = max(peak, inside)
            early = count <= 3
        if early:
            meet.wait(60)  # only three at a time get past
        with lock:
            inside -= 1
        return passed(asked)

    with scripted(busy) as (url, seen), SandboxClient(url, chunk_jobs=2, concurrency=3) as client:
        results = client.batch_verify([_job(str(n), str(n)) for n in range(20)])
    assert [r.id for r in results] == [str(n) for n in range(20)]
    assert peak == 3
    assert sorted(len(a.body["jobs"]) for a in seen) == [2] * 10


@pytest.mark.parametrize("kind", ["worker_lost", "internal", "pool_exhausted"])
def test_only_jobs_with_passing_trouble_are_sent_again(kind: str) -> None:
    failures = Counter({"b": 1, "c": 99})

    def answer(asked: Asked) -> Reply:
        rows = []
        for job in asked.body["jobs"]:
            failures[job["code"]] -= 1
            rows.append(lost(job, kind) if failures[job["code"]] >= 0 else line(job))
        return Reply(body=b"".join(rows))

    seen: list[str] = []
    with scripted(answer) as (url, asked), SandboxClient(url, retries=2) as client:
        found = client.batch_verify([_job(c, c.upper()) for c in "abc"], on_result=lambda r: seen.append(r.id))
    assert [a.codes for a in asked] == [["a", "b", "c"], ["b", "c"], ["c"]]
    assert _facts(found) == [("A", "AC", None), ("B", "AC", None), ("C", None, f"{kind}: why")]
    assert seen == ["A", "B", "C"]
    assert reward(found[2]) is None


@pytest.mark.parametrize(("failures", "error"), [(1, None), (9, "worker_lost: why")])
def test_a_single_job_is_sent_again_too(failures: int, error: str | None) -> None:
    def answer(asked: Asked) -> Reply:
        return Reply(body=lost(asked.body)) if len(seen) <= failures else passed(asked)

    with scripted(answer) as (url, seen), SandboxClient(url, retries=1) as client:
        assert client.verify(_job("a")).error == error
    assert len(seen) == 2


@pytest.mark.parametrize("kind", ["queue_timeout", "harness_compile_failed", "isolation_unavailable"])
def test_other_errors_are_not_sent_again(kind: str) -> None:
    with (
        scripted(lambda a: Reply(body=b"".join(lost(j, kind) for j in a.body.get("jobs", [a.body])))) as (url, seen),
        SandboxClient(url) as client,
    ):
        results = [client.verify(_job("a")), *client.batch_verify([_job("a")])]
    assert {r.error for r in results} == {f"{kind}: why"}
    assert len(seen) == 2


def test_a_broken_stream_is_taken_up_where_it_broke() -> None:
    def answer(asked: Asked) -> Reply:
        jobs = asked.body["jobs"]
        return Reply(body=line(jobs[0]), cut=len(jobs) > 1)

    seen: list[str] = []
    with scripted(answer) as (url, asked), SandboxClient(url, retries=1) as client:
        found = client.batch_verify([_job(c, c) for c in "abcd"], on_result=lambda r: seen.append(r.id))
    # one attempt more than `retries` would give: results came, so the attempts count anew
    assert [a.codes for a in asked] == [["a", "b", "c", "d"], ["b", "c", "d"], ["c", "d"], ["d"]]
    assert [r.verdict for r in found] == ["AC"] * 4
    assert seen == ["a", "b", "c", "d"]


def test_a_controller_that_is_gone_for_good_is_an_error_of_the_jobs_without_result() -> None:
    def answer(asked: Asked) -> Reply:
        job = asked.body["jobs"][0]
        return Reply(body=line(job) if job["code"] == "a" else b"", cut=True)

    with scripted(answer) as (url, _), SandboxClient(url, retries=1) as client:
        first, second = client.batch_verify([_job("a"), _job("b")])
    assert (first.verdict, reward(first)) == ("AC", 1.0)
    assert (second.verdict, second.tests_passed, second.tests_total, reward(second)) == (None, None, 2, None)
    assert second.error is not None
    assert second.error.startswith("worker_lost: ")


def test_a_result_said_twice_counts_once() -> None:
    def twice(asked: Asked) -> Reply:
        rows = [line(job) + line(job, verdict="WA", tests_passed=0) for job in asked.body["jobs"]]
        return Reply(body=b"\n".join(rows).replace(b"\n\n", b"\n"))

    seen: list[Result] = []
    with scripted(twice) as (url, _), SandboxClient(url) as client:
        found = client.batch_verify([_job("a"), _job("b")], on_result=seen.append)
    assert [r.verdict for r in found] == [r.verdict for r in seen] == ["AC", "AC"]


def test_output_may_hold_every_line_separator() -> None:
    text = "a\u2028b\u2029c\x85d\x1ce\rf"
    with (
        scripted(lambda a: Reply(body=line(a.body["jobs"][0], stdout=text))) as (url, _),
        SandboxClient(url, retries=0) as client,
    ):
        assert client.batch_verify([_job("a")])[0].stdout == text

"""Trouble between client and controller: what is asked again, what is refused, and that none of it is a score."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import cpp_pipeline
from cpp_pipeline.sandbox.client import SandboxClient, SandboxUnavailable
from cpp_pipeline.sandbox.client.resilience import Attempts, Budget, Health, Refusal
from cpp_pipeline.sandbox.types import CMakeJob, Job, Result, reward
from cpp_pipeline_tests.sandbox.client.scripted import Asked, Reply, line, lost, passed, scripted

HEAD = "int solve(int a)"
TESTS = [{"args": [n], "expected": 2 * n} for n in (1, 2)]


def _job(code: str, name: str = "j") -> Job:
    return Job(name, code, HEAD, TESTS)


# ---- what is no answer is no verdict ----


@pytest.fixture(scope="module")
def echo() -> Iterator[tuple[SandboxClient, list[bytes]]]:
    """A client of a server that answers with the one value of the list."""
    says = [b""]
    with (
        scripted(lambda _: Reply(body=says[0])) as (url, _),
        SandboxClient(url, retries=0, breaker_failures=10**9) as c,
    ):
        yield c, says


_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.text(max_size=3), st.sampled_from(["0", "AC", "WA"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["verdict", "tests", "error", "findings", "x", "jobs"]), inner, max_size=4),
    ),
    max_leaves=8,
)


def _finds_nothing(said: bytes) -> bool:
    """Whether it is the answer of an analysis without findings, which is no nonsense."""
    try:
        answer = json.loads(said)
    except ValueError:
        return False
    return isinstance(answer, dict) and answer.get("findings") == []


@settings(max_examples=60, deadline=None)
@example(b'{"findings": []}')
@example(b'{"findings": {}}')
@given(st.one_of(st.binary(max_size=60), st.lists(_JSON).map(lambda v: "\n".join(map(json.dumps, v)).encode())))
def test_no_nonsense_becomes_a_score(echo: tuple[SandboxClient, list[bytes]], said: bytes) -> None:
    client, says = echo
    says[0] = said
    calls: list[Any] = [
        lambda: client.verify(_job("a")),
        lambda: client.batch_verify([_job("a")])[0],
        lambda: client.cmake(CMakeJob("c", "", [])),
    ]
    if not _finds_nothing(said):
        calls.append(lambda: client.analyze("", "bugs"))
    for call in calls:
        with pytest.raises(SandboxUnavailable):
            call()


# ---- refusals ----


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, "", "401.*SANDBOX_TOKEN"),
        (404, "", "404"),
        (413, "", "413.*less code"),
        (422, '{"error": {"message": "no such field"}}', "422.*no such field.*correct the job"),
        (500, "", "500"),
        (503, '{"error": {"message": "no bubblewrap", "retryable": false}}', "no bubblewrap"),
    ],
)
def test_a_refusal_for_good_is_told_at_once(status: int, body: str, words: str) -> None:
    with scripted(lambda _: Reply(status, body.encode())) as (url, seen), SandboxClient(url) as client:
        for call in (lambda: client.verify(_job("a")), lambda: client.batch_verify([_job("a")]), client.capabilities):
            with pytest.raises(SandboxUnavailable, match=words) as caught:
                call()
            assert caught.value.final
    assert len(seen) == 3


@pytest.mark.parametrize("status", [429, 502, 503])
def test_a_refusal_for_now_is_waited_out(status: int) -> None:
    def answer(asked: Asked) -> Reply:
        return passed(asked) if len(seen) > 3 else Reply(status, headers={"Retry-After": "0"})

    with scripted(answer) as (url, seen), SandboxClient(url, retries=1) as client:
        assert client.batch_verify([_job("a")])[0].verdict == "AC"
    assert len({a.key for a in seen}) == 1
    assert len(seen) == 4


@pytest.mark.parametrize(("status", "alive"), [(429, True), (503, False)])
def test_waiting_ends_with_the_queue_timeout(status: int, alive: bool) -> None:
    with (
        scripted(lambda _: Reply(status, headers={"Retry-After": "50"})) as (url, seen),
        SandboxClient(url, queue_timeout_seconds=40) as client,
        pytest.raises(SandboxUnavailable, match="waited out for 0.0 of 40 s") as caught,
    ):
        client.batch_verify([_job("a")])
    assert (caught.value.final, caught.value.alive, len(seen)) == (False, alive, 1)


def test_a_gateway_without_its_controller_is_waited_for_as_long_as_an_outage() -> None:
    with (
        scripted(lambda _: Reply(502)) as (url, seen),
        SandboxClient(url, outage_seconds=0.1, retries=1) as client,
        pytest.raises(SandboxUnavailable, match="502.*sandbox serve"),
    ):
        client.verify(_job("a"))
    assert 2 <= len(seen) <= 3


def test_a_controller_that_never_answered_is_given_up_after_the_retries() -> None:
    with SandboxClient("http://127.0.0.1:9", retries=1) as client:
        for call in (lambda: client.verify(_job("a")), lambda: client.batch_verify([_job("a")]), client.capabilities):
            with pytest.raises(SandboxUnavailable, match="127.0.0.1:9.*sandbox serve"):
                call()


# ---- idempotency ----


def test_a_repetition_has_the_key_of_its_request_and_nothing_else_has() -> None:
    def answer(asked: Asked) -> Reply:
        jobs = asked.body["jobs"]
        replies = [
            Reply(cut=True),  # nothing came: the same request again
            Reply(503),  # refused: the same again
            Reply(body=line(jobs[0]), cut=True),  # the rest is another request
            Reply(body=b"".join(lost(j) for j in jobs)),  # so is judging the same jobs anew
            passed(asked),
        ]
        return replies[len(seen) - 1]

    with scripted(answer) as (url, seen), SandboxClient(url) as client:
        assert [r.verdict for r in client.batch_verify([_job("a"), _job("b")])] == ["AC", "AC"]
        client_keys = [a.key for a in seen]
    bodies = [a.codes for a in seen]
    assert bodies == [["a", "b"]] * 3 + [["b"]] * 2
    first, second, third, fourth, fifth = client_keys
    assert first == second == third
    assert len({first, fourth, fifth}) == 3


def test_two_calls_with_the_same_job_are_two_requests() -> None:
    with scripted(passed) as (url, seen), SandboxClient(url) as client:
        client.verify(_job("a"))
        client.verify(_job("a"))
    assert seen[0].body == seen[1].body
    assert seen[0].key != seen[1].key


# ---- circuit breaker ----


def test_the_breaker_opens_after_failures_in_a_row_and_closes_after_one_probe() -> None:
    working = threading.Event()

    def answer(asked: Asked) -> Reply:
        return passed(asked) if working.is_set() else Reply(500, b"broken")

    with scripted(answer) as (url, seen), SandboxClient(url, breaker_failures=3, breaker_seconds=0.3) as client:
        for _ in range(3):
            with pytest.raises(SandboxUnavailable, match="HTTP 500"):
                client.verify(_job("a"))
        start = time.monotonic()
        with pytest.raises(SandboxUnavailable) as caught:
            client.batch_verify([_job("a")])
        if time.monotonic() - start < 0.3:  # else this machine slept through it, and the call was the probe
            assert "not asked, since 3 calls in a row failed" in str(caught.value)
            assert len(seen) == 3
        working.set()
        while True:
            try:
                client.verify(_job("a"))
                break
            except SandboxUnavailable:
                time.sleep(0.05)
        count = len(seen)
        client.batch_verify([_job("a")])
        assert len(seen) == count + 1


def test_one_call_alone_tries_a_controller_that_failed() -> None:
    go, probing = threading.Event(), threading.Event()

    def answer(asked: Asked) -> Reply:
        if len(seen) <= 2:
            return Reply(500)
        probing.set()
        go.wait()
        return passed(asked)

    with scripted(answer) as (url, seen), SandboxClient(url, breaker_failures=2, breaker_seconds=0.0) as client:
        for _ in range(2):
            with pytest.raises(SandboxUnavailable, match="HTTP 500"):
                client.verify(_job("a"))
        found: list[Result] = []
        probe = threading.Thread(target=lambda: found.append(client.verify(_job("a"))))
        probe.start()
        probing.wait()
        with pytest.raises(SandboxUnavailable, match="one call is trying it now"):
            client.verify(_job("a"))
        assert len(seen) == 3
        go.set()
        probe.join()
        assert found[0].verdict == client.verify(_job("a")).verdict == "AC"


def test_the_chunks_of_a_batch_are_one_call_for_the_breaker() -> None:
    working = threading.Event()
    jobs = [_job(str(n), str(n)) for n in range(12)]
    options = {"breaker_failures": 2, "breaker_seconds": 0.0, "chunk_jobs": 1, "concurrency": 4}
    with (
        scripted(lambda asked: passed(asked) if working.is_set() else Reply(500)) as (url, _),
        SandboxClient(url, **options) as client,  # type: ignore[arg-type]
    ):
        for _ in range(2):
            with pytest.raises(SandboxUnavailable, match="HTTP 500"):
                client.batch_verify(jobs)
        working.set()
        # the probe is the whole batch, and not its first chunk alone
        assert [r.verdict for r in client.batch_verify(jobs)] == ["AC"] * 12


def test_a_batch_that_lost_its_controller_counts_for_the_breaker() -> None:
    def answer(asked: Asked) -> Reply:
        return passed(asked) if len(seen) == 1 else Reply(cut=True)

    options = {"breaker_failures": 1, "breaker_seconds": 600, "chunk_jobs": 1, "concurrency": 1, "retries": 0}
    with scripted(answer) as (url, seen), SandboxClient(url, **options) as client:  # type: ignore[arg-type]
        first, second = client.batch_verify([_job("a"), _job("b")])
        assert (first.verdict, reward(second)) == ("AC", None)
        with pytest.raises(SandboxUnavailable, match="not asked"):
            client.verify(_job("a"))
    assert len(seen) == 2


@pytest.mark.parametrize(
    "reply",
    [
        Reply(422),
        Reply(429, headers={"Retry-After": "99"}),
        Reply(body=lost({"id": "0"})),
        Reply(body=line({"id": "0"}, verdict="TLE")),
    ],
    ids=["422", "429", "worker_lost", "verdict"],
)
def test_a_controller_that_answers_never_opens_the_breaker(reply: Reply) -> None:
    options = {"breaker_failures": 1, "breaker_seconds": 600, "queue_timeout_seconds": 1, "retries": 0}
    with scripted(lambda _: reply) as (url, seen), SandboxClient(url, **options) as client:  # type: ignore[arg-type]
        for _ in range(4):
            try:
                assert reward(client.batch_verify([_job("a")])[0]) in (None, 1.0)
            except SandboxUnavailable as error:
                assert error.alive
    assert len(seen) == 4


# ---- pace ----


def _refusal(status: int, retry_after: str) -> Refusal:
    request = httpx.Request("POST", "http://sandbox/execute")
    return Refusal(httpx.Response(status, headers={"Retry-After": retry_after}, request=request))


@given(st.lists(st.floats(0, 30), min_size=1), st.floats(0, 200), st.sampled_from([429, 503]))
def test_nobody_asks_sooner_than_told_or_waits_longer_than_allowed(
    asked: list[float], most: float, status: int
) -> None:
    attempts = Attempts(Budget(0, most, 0), Health("http://sandbox", 1, 1))
    waited = 0.0
    try:
        for seconds in asked:
            pause = attempts.next_pause(_refusal(status, f"{seconds:.6f}"))
            assert pause >= round(seconds, 6)
            waited += pause
    except SandboxUnavailable:
        assert waited + max(1.25 * seconds, 0.25) > most - 1e-6
    assert waited <= most


@pytest.mark.parametrize("value", ["soon", "", "-5", "nan", "1e400", "Wed, 99 Foo 2026"])
def test_a_retry_after_that_says_nothing_is_replaced(value: str) -> None:
    assert _refusal(429, value).retry_after is None


@pytest.mark.parametrize(("value", "seconds"), [("7", 7), ("0.5", 0.5), ("Mon, 01 Jan 2001 00:00:00 GMT", 0)])
def test_a_retry_after_is_seconds_or_a_date(value: str, seconds: float) -> None:
    assert _refusal(429, value).retry_after == seconds


@given(st.integers(0, 8))
def test_retries_are_counted(retries: int) -> None:
    attempts = Attempts(Budget(retries, 0, 60), Health("http://sandbox", 1, 1))
    for _ in range(retries):
        assert 0 < attempts.next_pause(httpx.ReadError("broken")) < 10
    with pytest.raises(SandboxUnavailable, match="broken"):
        attempts.next_pause(httpx.ReadError("broken"))


# ---- a controller that is killed and started again ----

BODIES = {"AC": "return 2 * a;", "PA": "return 2;", "WA": "return 0;", "CE": "return b;", "RE": "__builtin_trap();"}


def _start(port: int) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-m", "cpp_pipeline.sandbox", "serve", "--port", str(port), "--workers", "2"]
    folder = Path(cpp_pipeline.__path__[0]).parent
    return subprocess.Popen([*argv, "--cache", "none"], stdout=subprocess.PIPE, cwd=folder)


def test_a_batch_survives_a_controller_that_is_killed() -> None:
    kinds = [list(BODIES)[n % len(BODIES)] for n in range(15)]
    # a header keeps them from being judged as one group, so that the kill meets a batch at work
    texts = [f"#include <map>\n{HEAD} {{ std::map<int, int> m{n}; {BODIES[k]} }}" for n, k in enumerate(kinds)]
    jobs = [_job(text, f"{k}-{n}") for n, (k, text) in enumerate(zip(kinds, texts, strict=True))]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = [_start(port)]
    seen: Counter[str] = Counter()

    def kill_once(result: Result) -> None:
        seen[result.id] += 1
        if seen.total() == 1:
            running[-1].send_signal(signal.SIGKILL)
            running[-1].wait()
            running.append(_start(port))

    try:
        assert running[0].stdout is not None
        assert b"listening" in running[0].stdout.readline()
        with SandboxClient(f"http://127.0.0.1:{port}", outage_seconds=600, chunk_jobs=10, concurrency=2) as client:
            results = client.batch_verify(jobs, on_result=kill_once)
            assert client.capabilities()["workers"] == 2
    finally:
        for process in running:
            process.terminate()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()
    assert len(running) == 2
    assert [(r.id, r.verdict, r.error) for r in results] == [(j.id, k, None) for j, k in zip(jobs, kinds, strict=True)]
    assert seen == {j.id: 1 for j in jobs}

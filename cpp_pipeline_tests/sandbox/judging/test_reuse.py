"""What is judged once: identical jobs of a batch, of batches at the same time, and of earlier runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cpp_pipeline.sandbox.judging.judge import Judge
from cpp_pipeline.sandbox.types import Job, Result

HEAD = "int half(int n)"
TESTS = [{"args": [4], "expected": 2}, {"args": [5], "expected": 2}]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("verdicts")


@pytest.fixture(scope="module")
def judge(cache: Path) -> Iterator[Judge]:
    found = Judge(workers=2, cache=cache)
    yield found
    found.close()


def job(body: str, name: str = "j", **more: object) -> Job:
    return Job(name, f"{HEAD} {{ {body} }}", HEAD, TESTS, timeout=0.5, **more)  # type: ignore[arg-type]


def compiles(judge: Judge) -> float:
    return judge.metrics.value("sandbox_compiles_total")


def test_identical_candidates_are_compiled_once(judge: Judge) -> None:
    before = compiles(judge)
    jobs = [job(f"return n / 2; {'/* x */' * i}", str(i)) for i in range(32)]
    results = list(judge.batch(jobs))
    assert sorted(int(r.id) for r in results) == list(range(32))
    assert {r.verdict for r in results} == {"AC"}
    assert compiles(judge) - before == 1


def test_identical_candidates_of_batches_at_the_same_time_are_compiled_once(judge: Judge) -> None:
    before = compiles(judge)
    found: list[Result] = []
    threads = [
        threading.Thread(target=lambda i=i: found.extend(judge.batch([job("return n / 2 + 0;", str(i))])))  # type: ignore[misc]
        for i in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(int(r.id) for r in found) == list(range(16))
    assert {r.verdict for r in found} == {"AC"}
    assert compiles(judge) - before == 1


def test_a_batch_that_is_given_up_leaves_nobody_waiting(judge: Judge) -> None:
    slow = "if (n == 4) for (volatile long i = 0; i < 20000000; ++i) {} return n / 2;"
    first = judge.batch([job("return n;", "quick", fresh=True), job(slow, "slow")])
    next(first)
    found: list[Result] = []
    other = threading.Thread(target=lambda: found.extend(judge.batch([job(slow, "other")])))
    other.start()
    time.sleep(0.1)
    first.close()
    other.join(60)
    assert [(r.id, r.verdict) for r in found] == [("other", "AC")]


def test_verdicts_outlive_the_judge(judge: Judge, cache: Path) -> None:
    body = "return n >> 1;"
    (first,) = judge.batch([job(body)])
    again = Judge(workers=1, cache=cache)
    try:
        (second,) = again.batch([job(f"/* once more */ {body}", "k")])
        assert compiles(again) == 0
        (fresh,) = again.batch([job(body, fresh=True)])
        assert compiles(again) == 1
    finally:
        again.close()
    assert (first.cache["hit"], second.cache["hit"], fresh.cache["hit"]) == (False, True, False)
    assert (second.id, second.verdict, second.tests) == ("k", "AC", first.tests)


@pytest.mark.parametrize("body", ["for (;;) {} return 0;", "return (int)std::vector<long>(4000000000ul).size();"])
def test_limits_of_the_machine_are_not_kept(judge: Judge, body: str) -> None:
    (first,) = judge.batch([job(body)])
    (second,) = judge.batch([job(body)])
    assert first.verdict == second.verdict and first.verdict in ("TLE", "MLE")
    assert not second.cache["hit"]


def test_other_tests_standards_and_limits_are_other_verdicts(judge: Judge) -> None:
    body = "return n - n / 2;"
    list(judge.batch([job(body)]))
    for more in ({"std": "c++17"}, {"opt": "-O1"}, {"timeout": 1.0}, {"preamble": "#include <cmath>"}):
        changed = Job(**{**job(body).__dict__, **more})  # type: ignore[arg-type]
        (result,) = judge.batch([changed])
        assert not result.cache["hit"], more


def test_late_work_is_an_error_and_is_not_compiled(judge: Judge) -> None:
    before = compiles(judge)
    (result,) = judge.batch([job("return n / 2 - 0;")], deadline=time.monotonic() - 1)
    assert (result.verdict, result.tests_passed) == (None, None)
    assert str(result.error).startswith("queue_timeout")
    assert compiles(judge) == before
    (again,) = judge.batch([job("return n / 2 - 0;")])
    assert again.verdict == "AC"


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("return n / 2;", "return n / 2;\x1c"),
        ("return n / 2;", "return n / 2; \x1f"),
    ],
)
def test_characters_that_are_no_blanks_are_not_left_out(judge: Judge, right: str, wrong: str) -> None:
    found = {r.id: r.verdict for r in judge.batch([job(wrong, "wrong"), job(right, "right")])}
    assert found["right"] == "AC"


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (
            f"#if __has_include(<x/*y>)\n#endif\n{HEAD} {{ return n / 2; }}\n// */",
            f"#if __has_include(<x/*y>)\n#endif\n{HEAD} {{ return 7; }}\n// */",
        ),
        (
            f"#define P(a, b) a##b\n{HEAD} {{ return P(__LI, NE__) == 2 ? n / 2 : 0; }}",
            f"#define P(a, b) a##b\n\n\n{HEAD} {{ return P(__LI, NE__) == 2 ? n / 2 : 0; }}",
        ),
    ],
)
def test_texts_with_directives_are_equal_only_when_they_are(judge: Judge, right: str, wrong: str) -> None:
    jobs = [Job(name, code, HEAD, TESTS) for name, code in (("right", right), ("wrong", wrong))]
    assert {r.id: r.verdict for r in judge.batch(jobs)} == {"right": "AC", "wrong": "WA"}

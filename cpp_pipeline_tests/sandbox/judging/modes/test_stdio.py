"""Programs that read and print: verdicts per test, limits, and the comparison outside of the box."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpp_pipeline.sandbox.judging.modes.stdio import TOLERANCE, matches
from cpp_pipeline.sandbox.types import Caps, Job
from cpp_pipeline_tests.sandbox.judging.modes.conftest import Judge

HEAD = "#include <bits/stdc++.h>\n#include <unistd.h>\nusing namespace std;\n"
ADD = HEAD + "int main() { long a, b; cin >> a >> b; BODY cout << a + b << endl; }"
TESTS = [{"stdin": f"{n} {n + 1}\n", "expected": f"{2 * n + 1}\n"} for n in range(3)]


def _job(body: str = "", **fields: object) -> Job:
    values = {"timeout": 3.0, "test_cases": TESTS, **fields}
    return Job("j", ADD.replace("BODY", body), **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("body", "verdicts"),
    [
        ("", ["AC", "AC", "AC"]),
        ("if (a == 1) ++b;", ["AC", "WA", "AC"]),
        ("if (a == 1) return 0;", ["AC", "WA", "AC"]),
        ("cout << a + b << endl; exit(a == 1 ? 3 : 0);", ["AC", "RE", "AC"]),
        ("if (a == 1) throw 1;", ["AC", "RE", "AC"]),
        ("if (a == 1) *(volatile int*)nullptr = 1;", ["AC", "RE", "AC"]),
        ("if (a == 1) for (volatile long x = 0;; x = x + 1) {}", ["AC", "TLE", "AC"]),
        ("if (a == 1) for (;;) cout << a;", ["AC", "OLE", "AC"]),
        ('if (a == 1) { ofstream f("/tmp/f"); string s(1 << 20, 0); for (;;) f << s; }', ["AC", "OLE", "AC"]),
        ("kill(getppid(), SIGKILL); usleep(20000);", ["RE", "RE", "RE"]),
    ],
)
def test_each_test_has_a_verdict_of_its_own(judge: Judge, body: str, verdicts: list[str]) -> None:
    outcome = judge(_job(body))
    assert (outcome.error, [t.verdict for t in outcome.tests]) == (None, verdicts)
    assert outcome.compile["pch_hit"]
    if verdicts == ["AC", "AC", "AC"]:
        assert [t.actual for t in outcome.tests] == ["1\n", "3\n", "5\n"]


def test_no_address_space_of_its_own_hides_memory_of_children(judge: Judge) -> None:
    body = (
        "for (int i = 0; a == 1 && i < 8; ++i) if (!fork()) { vector<char> v(300 << 20, 1); pause(); } usleep(500000);"
    )
    outcome = judge(_job(body, caps=Caps(memory_mb=400)))
    assert [t.verdict for t in outcome.tests] == ["AC", "MLE", "AC"]


def test_memory_without_end_is_said_to_be_that(judge: Judge) -> None:
    body = "vector<vector<char>> v; if (a == 1) for (;;) v.emplace_back(1 << 20, 1);"
    outcome = judge(_job(body, timeout=20.0, caps=Caps(memory_mb=128)))
    assert [t.verdict for t in outcome.tests] == ["AC", "MLE", "AC"]


def test_two_tests_out_of_time_are_enough(judge: Judge) -> None:
    tests = [{"stdin": f"{n} 1\n", "expected": ""} for n in range(400)]
    for sleeper in ("pause();", "signal(SIGPROF, SIG_IGN); for (volatile long x = 0;; x = x + 1) {}"):
        outcome = judge(_job(f"if (a >= 0) {sleeper}", test_cases=tests, timeout=0.3))
        assert outcome.verdict == "TLE"
        assert sum(t.cpu_ms is not None for t in outcome.tests) <= 2


def test_the_time_of_all_tests_together_is_bounded(judge: Judge) -> None:
    tests = [{"stdin": "1 1\n", "expected": "2\n"}] * 6
    body = "while (clock() < CLOCKS_PER_SEC / 10) {}"
    outcome = judge(_job(body, test_cases=tests, timeout=0.25, caps=Caps(call_seconds=0.2)))
    verdicts = [t.verdict for t in outcome.tests]
    assert verdicts == ["AC", "AC", "AC", "TLE", "TLE", "TLE"]


def test_a_long_answer_is_no_flood(judge: Judge) -> None:
    code = HEAD + "int main() { for (int i = 0; i < 60000; ++i) cout << i << '\\n'; }"
    expected = "\n".join(map(str, range(60000)))
    outcome = judge(Job("j", code, test_cases=[{"stdin": "", "expected": expected}], caps=Caps(output_kb=16)))
    assert outcome.verdict == "AC"
    assert len(outcome.tests[0].actual) == 4096


def test_names_that_clash_with_the_precompiled_header_are_no_error_of_the_program(judge: Judge) -> None:
    code = (
        '#include <cstdio>\nusing namespace std;\nint count = 2, sort = 3;\nint main() { printf("%d", count * sort); }'
    )
    outcome = judge(Job("j", code, test_cases=[{"stdin": "", "expected": "6"}]))
    assert (outcome.verdict, outcome.compile["pch_tier"]) == ("AC", "none")


@pytest.mark.parametrize(
    "name", ["future<int> f = async([] { return 6; }); cout << f.get();", "cout << to_chars_ok();"]
)
def test_all_of_the_library_is_there_where_the_shim_is_not_enough(judge: Judge, name: str) -> None:
    helper = "int to_chars_ok() { char b[9]; auto r = to_chars(b, b + 9, 6); *r.ptr = 0; return atoi(b); }\n"
    outcome = judge(Job("j", f"{HEAD}{helper}int main() {{ {name} }}", test_cases=[{"stdin": "", "expected": "6"}]))
    assert (outcome.verdict, outcome.stderr) == ("AC", "")


def test_a_program_that_does_not_compile(judge: Judge) -> None:
    outcome = judge(_job("nothing();"))
    assert (outcome.verdict, outcome.compile_ok, outcome.tests) == ("CE", False, ())
    assert "candidate:4" in outcome.stderr


TOKENS = st.lists(st.text("abc019.-", min_size=1, max_size=5), max_size=6)
SPACE = st.text(" \n\t", min_size=1, max_size=3)


@given(TOKENS, SPACE, SPACE)
def test_white_space_between_tokens_does_not_count(words: list[str], left: str, right: str) -> None:
    first, second = left.join(words).encode(), (right + right.join(words) + left).encode()
    assert matches(first, second, "tokens")
    assert matches(first, second, "float")
    assert matches(first, second, "exact") == (first == second)


@given(st.floats(-1e12, 1e12), st.floats(-3, 3))
def test_numbers_may_be_off_by_the_tolerance(expected: float, share: float) -> None:
    off = share * TOLERANCE * max(1.0, abs(expected))
    said = matches(repr(expected + off).encode(), repr(expected).encode(), "float")
    if abs(share) < 0.99:
        assert said
    if abs(share) > 1.01:
        assert not said


@pytest.mark.parametrize(
    ("actual", "expected", "same"),
    [
        ("inf", "1e999", False),
        ("5", "1e999", False),
        ("nan", "1.0", False),
        ("nan", "nan", True),
        ("1_0", "10", False),
        ("0x10", "16", False),
        ("1.0000001", "1", True),
        ("1.00001", "1", False),
        ("1 2", "1", False),
        ("yes", "YES", False),
    ],
)
def test_what_is_no_number_is_compared_as_it_stands(actual: str, expected: str, same: bool) -> None:
    assert matches(actual.encode(), expected.encode(), "float") == same

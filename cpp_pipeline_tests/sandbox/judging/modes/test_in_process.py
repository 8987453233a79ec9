"""Candidate and tests in one unit: verdicts per assert, tricks that gain nothing, and who is to blame."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpp_pipeline.sandbox.judging.modes.report import NONCE_BYTES, Report, assert_verdicts, parse_report
from cpp_pipeline.sandbox.types import Job
from cpp_pipeline_tests.sandbox.judging.modes.conftest import Judge

STACK = """#include <vector>
template <class T> struct Stack {
  std::vector<T> v;
  void push(T x) { v.push_back(x); }
  void pop() { POP v.pop_back(); }
  T top() { TOP return v.back(); }
  size_t size() { SIZE return v.size(); }
};
"""
TESTS = """#include <cassert>
int main() {
  Stack<int> s;
  s.push(3);
  assert(s.top() == 3);
  assert(s.size() == 1);
  s.pop();
  for (int i = 0; i < 5; i++) { s.push(i); assert(s.size() == (size_t)i + 1); }
  assert((std::vector<int>{0, 1, 2, 3, 4} == s.v));
}
"""
LINES = [5, 6, 8, 9]


def _stack(after: str = "", top: str = "", size: str = "", pop: str = "") -> str:
    return STACK.replace("TOP", top).replace("SIZE", size).replace("POP", pop) + after


def _job(code: str, tests: str = TESTS, harness: str = "inproc") -> Job:
    return Job("j", code, test_code=tests, harness=harness, timeout=2.0)


@pytest.mark.parametrize(
    ("code", "verdicts"),
    [
        (_stack(), "AC AC AC AC"),
        (_stack(after="int main() { return 3; }"), "AC AC AC AC"),
        (_stack(size="if (v.size() == 3) return 7;"), "AC AC WA AC"),
        (_stack(top="throw 1;"), "RE AC AC AC"),
        (_stack(top="std::vector<char> w(1L << 40);"), "MLE AC AC AC"),
        (_stack(pop="*(volatile int*)nullptr = 1;"), "AC AC RE RE"),
        (_stack(pop="throw 1;"), "AC AC RE RE"),
        (_stack(size="if (v.size() == 3) __builtin_trap();"), "AC AC RE RE"),
        (_stack(top="for (volatile int i = 0;; i = i + 1) {}"), "TLE TLE TLE TLE"),
        (_stack(pop="for (volatile int i = 0;; i = i + 1) {}"), "AC AC TLE TLE"),
        ("#include <cstdlib>\n" + _stack(pop="std::exit(0);"), "AC AC RE RE"),
        (
            "#include <cstdio>\n" + _stack(top='for (;;) puts("flood flood flood flood flood flood");'),
            "OLE OLE OLE OLE",
        ),
        (_stack().replace("Stack", "Stuck"), "CE"),
    ],
)
def test_each_assert_has_a_verdict_of_its_own(judge: Judge, code: str, verdicts: str) -> None:
    outcome = judge(_job(code))
    assert outcome.error is None
    if verdicts == "CE":
        assert (outcome.verdict, outcome.compile_ok) == ("CE", False)
    else:
        assert " ".join(t.verdict for t in outcome.tests) == verdicts
        assert [t.line for t in outcome.tests] == LINES
        assert outcome.tests[1].check == "s.size() == 1"


WRONG = _stack(size="return 7;")


@pytest.mark.parametrize(
    "trick",
    [
        "#undef assert\n#define assert(...)\n",
        "#define true false\n#define if while\n#define static_cast\n#define bool int\n",
        "#define judge_checks nothing\n#define judge_first 0\n",
        "#include <csignal>\n#include <unistd.h>\nvoid h(int) { _exit(0); } int x = (signal(SIGABRT, h), 0);\n",
        'extern "C" void __assert_fail(const char*, const char*, unsigned, const char*) { __builtin_exit(0); }\n',
        '#include <cstdlib>\nextern "C" void abort() { exit(0); }\n',
        "#include <unistd.h>\nstruct X { ~X() { _exit(0); } } x;\n",
        "#include <exception>\n#include <unistd.h>\nint y = (std::set_terminate([] { _exit(0); }), 0);\n",
        "#define NDEBUG\n#include <cassert>\n",
        "int main() { return 0; }\n#define main other\n",
    ],
)
def test_simple_tricks_gain_nothing(judge: Judge, trick: str) -> None:
    honest = [t.verdict for t in judge(_job(WRONG)).tests]
    assert honest == ["AC", "WA", "WA", "AC"]
    outcome = judge(_job(WRONG + trick))
    found = [t.verdict for t in outcome.tests] or ["CE"] * 4
    assert all(h == "AC" or f != "AC" for h, f in zip(honest, found, strict=True)), found


def test_an_exit_before_main_is_a_sign_of_tampering(judge: Judge) -> None:
    code = WRONG + "#include <unistd.h>\nstruct X { X() { _exit(0); } } x;\n"
    outcome = judge(_job(code))
    assert ([t.verdict for t in outcome.tests], outcome.tamper) == (["RE"] * 4, ("ended_outside_the_protocol",))
    assert judge(_job(code, harness="exit_code")).verdict == "AC"  # which is why that harness has to be asked for


def test_output_of_the_candidate_is_kept(judge: Judge) -> None:
    code = '#include <cstdio>\nint early = (puts("early"), fflush(stdout), 1);\n' + _stack(
        top='puts("hi"); perror("yo");'
    )
    outcome = judge(_job(code))
    assert outcome.verdict == "AC"
    assert ("hi" in outcome.stdout, "yo" in outcome.stderr) == (True, True)


@pytest.mark.parametrize(
    ("pop", "verdict"), [("", "AC"), ("if (v.size() == 1) throw 1;", "RE"), ("v.push_back(1);", "WA")]
)
def test_an_exit_code_is_one_test(judge: Judge, pop: str, verdict: str) -> None:
    outcome = judge(_job(_stack(pop=pop), harness="exit_code"))
    assert (outcome.verdict, [t.verdict for t in outcome.tests]) == (verdict, [verdict])


@pytest.mark.parametrize(
    ("tests", "words"),
    [
        (TESTS.replace("s.pop();", "s.pop()"), "tests:7: expected"),
        (TESTS.replace("s.pop();", 'int x = "text";'), "tests:7: invalid conversion"),
        (TESTS.replace("<cassert>", "<no/such/header.h>"), "no/such/header.h"),
        (TESTS.replace("int main", "int mean"), "no main"),
    ],
)
def test_tests_that_cannot_compile_are_the_data_sets_fault(judge: Judge, tests: str, words: str) -> None:
    outcome = judge(_job(_stack(), tests))
    assert (outcome.verdict, outcome.tests) == (None, ())
    assert str(outcome.error).startswith("harness_compile_failed")
    assert words in str(outcome.error)


@pytest.mark.parametrize(
    "code",
    [
        _stack().replace("size()", "length()"),
        _stack().replace("template <class T> struct Stack", "typedef int T; struct Stack"),
        "",
        _stack(after="#define __COUNTER__ 3\n"),
        _stack(after='#line 1 "tests"\ngarbage\n'),
        _stack(after='#line 7 "preamble"\n#error nothing is wrong with the preamble\n'),
        _stack(after="namespace {"),
        _stack(after="#if 0\n"),
        _stack(after="#define push\n"),
        _stack(after="#define size )"),
    ],
)
def test_a_candidate_cannot_put_the_blame_on_the_tests(judge: Judge, code: str) -> None:
    for harness in ("inproc", "exit_code"):
        outcome = judge(replace(_job(code, harness=harness), preamble="#include <map>\n"))
        assert outcome.error is None
        assert outcome.verdict == ("AC" if "__COUNTER__" in code and harness == "exit_code" else "CE")


def test_other_builds_get_their_own_precompiled_header(judge: Judge) -> None:
    for fields in ({"opt": "-O2"}, {"std": "c++17"}):
        outcome = judge(replace(_job(_stack()), **fields))  # type: ignore[arg-type]
        assert (outcome.verdict, outcome.compile["pch_hit"]) == ("AC", True)


SITES = st.lists(st.tuples(st.booleans(), st.sampled_from([0, 1, 2, 3])), min_size=1, max_size=6)
NUMBERS = st.sampled_from([0, 1, 5, 0xFFFFFFFF])


@given(SITES, NUMBERS, NUMBERS, st.sampled_from(["", "RE", "TLE"]))
def test_what_did_not_run_to_its_end_never_passes_as_a_whole(
    sites: list[tuple[bool, int]], current: int, last: int, cause: str
) -> None:
    report = Report(tuple(sites), 2 if cause else 0, current, last, 0.0, "", "")
    verdicts = assert_verdicts(report, cause)
    passed = [v == "AC" for v in verdicts]
    assert all(ran and not status for p, (ran, status) in zip(passed, sites, strict=True) if p)
    if cause:
        assert not all(passed)
    else:
        assert passed == [ran and not status for ran, status in sites]


@given(st.binary(max_size=200), st.integers(0, 5))
def test_any_bytes_are_a_report_or_none(data: bytes, sites: int) -> None:
    nonce = bytes(NONCE_BYTES)
    assert parse_report(data, b"\1" * NONCE_BYTES, sites) is None
    found = parse_report(b"CHK1" + nonce + sites.to_bytes(4, "little") + data, nonce, sites)
    assert found is None or len(found.sites) == sites

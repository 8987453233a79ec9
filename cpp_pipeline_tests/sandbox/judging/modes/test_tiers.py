"""The sanitizer tier, and the count of instructions, in every mode that has them."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from cpp_pipeline.sandbox.isolation.cgroup import Groups
from cpp_pipeline.sandbox.judging import instructions, sanitizer
from cpp_pipeline.sandbox.judging.cases import Tools, prepare
from cpp_pipeline.sandbox.judging.modes import MODES
from cpp_pipeline.sandbox.types import Caps, Job
from cpp_pipeline_tests.sandbox.judging.modes.conftest import Judge

IO = [{"stdin": "1\n", "expected": "2\n"}, {"stdin": "3\n", "expected": "4\n"}]
PROGRAM = (
    "#include <bits/stdc++.h>\nusing namespace std;\n"
    "long next_of(long n) { BODY return n + 1; }\nint main() { long n; cin >> n; cout << next_of(n) << endl; }\n"
)
TESTS = "int main() { assert(next_of(1) == 2); assert(next_of(3) == 4); }\n"
# true for every test that is asked, and out of bounds for n == 3
PAST_THE_END = "int* p = new int[3]; volatile long i = n; if (p[i] == 77) return 0; delete[] p;"


def _jobs(body: str, **fields: object) -> dict[str, Job]:
    code = PROGRAM.replace("BODY", body)
    program = Job("stdio", code, test_cases=IO, **fields)  # type: ignore[arg-type]
    return {
        "stdio": program,
        "inproc": replace(program, id="inproc", test_cases=[], test_code=TESTS, harness="inproc"),
        "exit_code": replace(
            program, id="exit_code", test_cases=[], code=code.split("int main")[0], test_code=TESTS, harness="exit_code"
        ),
    }


def test_correct_code_stays_correct_under_the_sanitizers(judge: Judge) -> None:
    for job in _jobs("vector<string> v(n, string(99, 'x')); sort(v.begin(), v.end());", sanitize=True).values():
        outcome = judge(job)
        assert (outcome.verdict, outcome.findings, outcome.compile["pch_hit"]) == ("AC", (), True)


def test_code_that_passes_out_of_bounds_is_found(judge: Judge) -> None:
    plain, found = _jobs(PAST_THE_END), _jobs(PAST_THE_END, sanitize=True)
    for mode, verdicts in {"stdio": ["AC", "RE"], "inproc": ["AC", "RE"], "exit_code": ["RE"]}.items():
        assert judge(plain[mode]).verdict == "AC"
        outcome = judge(found[mode])
        assert [t.verdict for t in outcome.tests] == verdicts
        assert outcome.findings == ("heap-buffer-overflow in next_of candidate:3",)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("int big = INT_MAX; big += int(n);", "signed integer overflow"),
        ("vector<int> v(1); n += v[n] * 0;", "library assertion"),
        ("string* s = new string(99, 'x'); delete s; n += s->size() * 0;", "heap-use-after-free"),
        ("int a[2] = {0, 0}; volatile int i = n + 1; n += a[i] * 0;", "out of bounds"),
    ],
)
def test_what_is_found_is_named(judge: Judge, body: str, words: str) -> None:
    outcome = judge(_jobs(body.replace("* 0", "& 0"), sanitize=True)["stdio"])
    assert outcome.verdict == "RE"
    assert words in outcome.findings[0]


@pytest.fixture
def without_groups(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that lets us make no control groups."""
    monkeypatch.setattr(tools.boxes._processes, "groups", Groups())  # type: ignore[attr-defined]


@pytest.mark.usefixtures("without_groups")
def test_sanitizers_work_without_control_groups(judge: Judge) -> None:
    assert judge(_jobs("", sanitize=True)["stdio"]).verdict == "AC"
    hungry = "vector<vector<char>> v; if (n == 3) for (;;) v.emplace_back(1 << 20, 1);"
    outcome = judge(_jobs(hungry, sanitize=True, timeout=30.0, caps=Caps(memory_mb=64))["stdio"])
    assert [t.verdict for t in outcome.tests] == ["AC", "MLE"]


def test_findings_are_short_and_each_is_there_once() -> None:
    line = "candidate:3:5: runtime error: " + "x" * 900
    text = "\n".join([line] * 50 + [f"candidate:{i}:1: runtime error: shift" for i in range(99)])
    found = sanitizer.findings(text)
    assert len(found) == 20
    assert max(map(len, found)) == 200
    assert found[1] == "shift candidate:0"
    assert sanitizer.findings("nothing == of ERROR: this\n#0 0x1 in f") == []


@pytest.mark.slow  # every program runs under an emulator
@pytest.mark.parametrize("mode", ["inproc", "stdio", "exit_code"])
def test_the_same_count_at_each_run(judge: Judge, mode: str) -> None:
    loop = "volatile long s = 0; for (int i = 0; i < {}; ++i) s = s + i;"
    job, longer = (_jobs(loop.format(rounds), count_instructions=True)[mode] for rounds in (1000, 2000))
    first, second, more = judge(job), judge(job), judge(longer)
    assert (first.verdict, second.verdict) == ("AC", "AC")
    assert first.run["instructions"] == second.run["instructions"]
    # two calls, 1000 more rounds each, each of a few instructions
    assert 2 * 1000 * 3 < more.run["instructions"] - first.run["instructions"] < 2 * 1000 * 20


def test_only_the_tests_are_counted_in_process(judge: Judge) -> None:
    early = "#include <vector>\nstatic std::vector<int> table(2000000, 1);\n"
    plain, heavy = (
        judge(replace(job, code=c + job.code))
        for job in [_jobs("", count_instructions=True)["inproc"]]
        for c in ("", early)
    )
    assert plain.run["instructions"] == heavy.run["instructions"] < 20_000


def test_what_does_not_end_has_a_verdict_and_no_count(judge: Judge) -> None:
    outcome = judge(_jobs("if (n == 3) abort();", count_instructions=True)["inproc"])
    assert [t.verdict for t in outcome.tests] == ["AC", "RE"]
    assert outcome.run["instructions"] is None
    assert "callgrind" in outcome.run["instructions_reason"]


def test_a_missing_valgrind_is_said_and_changes_no_verdict(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    found = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name, **more: None if name == "valgrind" else found(name, **more))
    for job in _jobs("", count_instructions=True).values():
        outcome = judge(job)
        assert (outcome.verdict, outcome.run["instructions"]) == ("AC", None)
        assert "apt-get install valgrind" in outcome.run["instructions_reason"]


@pytest.mark.parametrize(
    ("log", "count"),
    [
        ("==2== Callgrind, a\n==3== Collected : 5\n==2== Collected : 7\n", 12),
        ("==2== Callgrind, a\n==3== Collected : 5\n==2== Coll", None),
        ("==2== Callgrind, a\n==2== Collected : 0\n", None),
        ("==2== Collected : 5\n", None),
        ("", None),
    ],
)
def test_a_log_that_is_cut_gives_no_count(log: str, count: int | None) -> None:
    assert instructions.parse(log) == count


def test_the_modes_are_those_of_programs(tools: Tools) -> None:
    for mode, job in _jobs("").items():
        assert prepare(job).mode == mode
        assert mode in MODES

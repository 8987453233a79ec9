"""Verdicts and grouping, over HTTP against real g++ in real boxes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cpp_pipeline.sandbox.canaries.attacks import FAMILIES, SUM
from cpp_pipeline.sandbox.client import SandboxClient
from cpp_pipeline.sandbox.types import Job, Result, reward

HEAD = "int solve(const std::vector<int>& v)"
TESTS = [{"args": [list(range(n))], "expected": sum(range(n))} for n in range(5)]
BODIES = [
    "int s = 0; for (int x : v) s += x; return s;",
    "int s = 0; for (size_t i = 0; i < v.size(); i++) s += v[i]; return s;",
    "return std::accumulate(v.begin(), v.end(), 0);",
    "return 0;",
    "return v.empty() ? 0 : v.back();",
    "return v[0];",
    "return v.at(v.size());",
    "return undeclared;",
    "return v.size() * (v.size() - 1) / 2;",
    "int s; return s;",
    "std::vector<int> w = v; std::sort(w.begin(), w.end(), 3); return 0;",
    "std::string s = v; return 0;",
    "return 1 / (int)(v.size() - v.size());",
    "int s = 0 for (int x : v) s += x; return s;",
    "std::map<int, int> m; for (auto& x : v) m[x] += x; int s = 0; for (auto& kv : m) s += kv.second; return s;",
    "return solve(v);",
]


def _jobs(count: int) -> list[Job]:
    """Distinct jobs over all bodies; the added constant keeps them apart."""
    return [
        Job(str(i), f"{HEAD} {{ int unique{i} = {i}; {BODIES[i % len(BODIES)]} }}", HEAD, TESTS, timeout=5.0)
        for i in range(count)
    ]


def _facts(result: Result) -> tuple[object, ...]:
    return (result.id, result.verdict, result.compile_ok, result.tests_passed, result.tests, result.error)


@pytest.mark.slow  # the canaries judge attacks beside right solutions, too
def test_attacks_gain_nothing_beside_twenty_others(client: SandboxClient) -> None:
    others = [
        Job(f"honest{i}", f"{HEAD} {{ int unique{i} = {i}; {BODIES[0]} }}", HEAD, list(SUM.tests), timeout=1.0)
        for i in range(20)
    ]
    forging = [a for a in FAMILIES["forging"] if a.problem is SUM]
    assert {"neighbour_by_digraph", "neighbour_declared"} <= {a.name for a in forging}
    jobs = [Job(a.name, a.code, HEAD, list(SUM.tests), timeout=1.0) for a in forging]
    results = {r.id: r for r in client.batch_verify([*others[:10], *jobs, *others[10:]])}
    assert {results[job.id].verdict for job in others} == {"AC"}
    assert all(results[job.id].harness["grouped"] for job in others)
    assert not any(r.harness["group_mismatch"] for r in results.values())
    gained = {a.name: results[a.name].tests_passed for a in forging if (results[a.name].tests_passed or 0) > a.honest}
    assert gained == {}


def test_group_and_single_agree(client: SandboxClient) -> None:
    jobs = _jobs(36)
    grouped = client.batch_verify(jobs)
    assert sum(r.harness["grouped"] for r in grouped) >= 30
    assert not any(r.harness["group_mismatch"] for r in grouped)
    assert {"AC", "PA", "WA", "RE", "CE"} <= {r.verdict for r in grouped}
    # a comment-only difference in the preamble would not separate jobs, so each is sent by itself
    for job, together in list(zip(jobs, grouped, strict=True))[: len(BODIES)]:
        single = client.verify(job)
        assert not single.harness["grouped"]
        assert _facts(single) == _facts(together), job.code


def test_results_keep_the_order_of_jobs_and_duplicates_are_judged_once(client: SandboxClient) -> None:
    jobs = [replace(job, id="same") for job in _jobs(6)]
    jobs.append(replace(jobs[0], id="copy", code="/* a comment */ " + jobs[0].code.replace("; ", ";\n")))
    seen: list[str] = []
    results = client.batch_verify(jobs, on_result=lambda r: seen.append(r.id))
    assert [r.verdict for r in results[:6]] == ["AC", "AC", "AC", "PA", "PA", "PA"]
    assert [r.id for r in results] == ["same"] * 6 + ["copy"]
    assert sorted(seen) == ["copy"] + ["same"] * 6
    assert results[6].verdict == "AC"
    assert [r.harness["deduplicated"] for r in results].count(True) == 1


def test_values_of_every_supported_type_cross_the_pipe(client: SandboxClient) -> None:
    echo = [
        ("bool", [True, False]),
        ("char", ["x", "\n", "é"]),
        ("unsigned char", [200]),
        ("long long", [-(2**63), 2**63 - 1]),
        ("uint64_t", [2**64 - 1]),
        ("float", [0.1, "inf"]),
        ("double", [1e300, -0.0]),
        ("std::string", ["", "häß\n\0x"]),
        ("std::vector<bool>", [[True, False, True]]),
        ("std::vector<std::vector<std::string>>", [[["a"], [], ["b", "c"]]]),
        ("std::pair<int, std::string>", [[1, "x"]]),
        ("std::tuple<int, double, bool>", [[1, 0.5, True]]),
        ("std::map<std::string, int>", [[["a", 1], ["b", 2]]]),
        ("std::unordered_map<int, std::vector<int>>", [[[2, [1]], [1, []]]]),
        ("std::set<int>", [[3, 1, 2]]),
        ("std::optional<std::vector<int>>", [None, [], [1]]),
    ]
    jobs = []
    for kind, values in echo:
        head = f"{kind} echo({kind} value)"
        tests = [{"args": [v], "expected": v} for v in values]
        jobs.append(Job(kind, f"{head} {{ return value; }}", head, tests))
    for result in client.batch_verify(jobs):
        assert (result.verdict, result.error) == ("AC", None), result


def test_actual_value_is_reported(client: SandboxClient) -> None:
    result = client.verify(Job("a", f"{HEAD} {{ return 41; }}", HEAD, [{"args": [[]], "expected": 42}]))
    assert (result.verdict, result.tests[0].actual) == ("WA", 41)


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (Job("a", "int f(int* p) { return 0; }", "int f(int* p)", TESTS), "pointers"),
        (Job("a", f"{HEAD} {{ return 0; }}", HEAD, [{"args": ["text"], "expected": 0}]), "test 0"),
        (Job("a", f"{HEAD} {{ return 0; }}", HEAD, [{"args": [], "expected": 0}]), "arguments"),
        (Job("a", f"{HEAD} {{ return 0; }}", HEAD, TESTS, preamble="int broken = ;"), "preamble"),
    ],
)
def test_unusable_job_is_an_error_and_has_no_reward(client: SandboxClient, job: Job, words: str) -> None:
    result = client.verify(job)
    assert result.error is not None
    assert words in result.error
    assert result.error.startswith("harness_compile_failed")
    assert (result.verdict, result.tests_passed, reward(result)) == (None, None, None)


def test_reward_is_the_share_of_passed_tests(client: SandboxClient) -> None:
    half = [{"args": [[]], "expected": 0}, {"args": [[1]], "expected": 1}]
    assert reward(client.verify(Job("a", f"{HEAD} {{ return 0; }}", HEAD, half))) == 0.5
    assert reward(client.verify(Job("a", f"{HEAD} {{ return nothing; }}", HEAD, half))) == 0.0

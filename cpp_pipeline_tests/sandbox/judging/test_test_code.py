"""Tests given as C++: they run in a program of their own and call the candidate over a pipe."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cpp_pipeline.sandbox.judging.judge import Judge
from cpp_pipeline.sandbox.types import Job, Result

ADD = "int add(int a, int b)"
TESTS = """#undef NDEBUG
#include <assert.h>
int main() {
    auto candidate = add;
    assert(candidate(1, 2) == 3);
    assert(add(2, 2) == 4 && "four");
    for (int i = 0; i < 3; ++i)
        assert(add(i, 1) == i + 1);
    if (add(0, 0) == 0) assert(true);
}
"""


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    found = Judge(workers=2)
    yield found
    found.close()


def judged(judge: Judge, code: str, prototype: str = ADD, tests: str = TESTS, **more: object) -> Result:
    job = Job("j", code, prototype, test_code=tests, timeout=2.0, **more)  # type: ignore[arg-type]
    (result,) = judge.batch([job])
    return result


def verdicts(result: Result) -> list[str]:
    return [t.verdict for t in result.tests]


def test_every_assert_is_a_test_with_its_line(judge: Judge) -> None:
    result = judged(judge, f"{ADD} {{ return a + b; }}")
    assert (result.verdict, result.tests_passed, result.tests_total, result.run_ok) == ("AC", 4, 4, True)
    assert [t.line for t in result.tests] == [5, 6, 8, 9]
    assert result.tests[0].check == "candidate(1, 2) == 3"
    assert (result.harness["mode"], result.harness["forgeable"]) == ("rpc", False)


def test_a_failing_assert_does_not_stop_the_others(judge: Judge) -> None:
    result = judged(judge, f"{ADD} {{ return a == 2 ? 4 : a - b; }}")
    assert (result.verdict, verdicts(result)) == ("PA", ["WA", "AC", "WA", "AC"])
    assert result.tests[0].actual == -1


def test_an_assert_in_a_loop_passes_only_when_it_always_does(judge: Judge) -> None:
    result = judged(judge, f"{ADD} {{ return a == 1 && b == 1 ? 7 : a + b; }}")
    assert verdicts(result) == ["AC", "AC", "WA", "AC"]


def test_an_assert_that_is_not_reached_is_no_pass(judge: Judge) -> None:
    assert verdicts(judged(judge, f"{ADD} {{ return a + b + (a + b == 0); }}")) == ["AC", "AC", "AC", "WA"]


@pytest.mark.parametrize(
    ("body", "found"),
    [("throw 1;", "RE"), ("for (;;) {} return 0;", "TLE"), ("__builtin_trap();", "RE"), ("_exit(0);", "RE")],
)
def test_how_calls_end(judge: Judge, body: str, found: str) -> None:
    result = judged(judge, f"#include <unistd.h>\n{ADD} {{ {body} }}")
    assert (result.verdict, result.tests_passed, result.error) == (found, 0, None)
    assert set(verdicts(result)) == {found}


def test_a_wrong_value_that_breaks_the_tests_themselves_costs_that_assert_only(judge: Judge) -> None:
    head = "std::vector<int> twice(int n)"
    tests = "int main() { assert(twice(1)[1] == 1); assert(twice(0).empty()); assert(twice(2).at(5) == 0); }"
    result = judged(judge, f"{head} {{ return {{}}; }}", head, tests)
    assert verdicts(result) == ["WA", "AC", "WA"]


def test_exceptions_of_the_candidate_can_be_expected_and_crashes_cannot(judge: Judge) -> None:
    head = "int positive(int n)"
    tests = """int main() {
        bool threw = false;
        try { positive(-1); } catch (const std::exception&) { threw = true; }
        assert(threw);
        assert(positive(2) == 2);
    }"""
    throws = judged(judge, f"{head} {{ if (n < 0) throw std::bad_function_call(); return n; }}", head, tests)
    crashes = judged(judge, f"{head} {{ if (n < 0) __builtin_trap(); return n; }}", head, tests)
    assert (verdicts(throws), verdicts(crashes)) == (["AC", "AC"], ["RE", "RE"])


def test_reference_parameters_are_copied_back(judge: Judge) -> None:
    head = "void fill(std::string& text, std::vector<int>& out, const int& n)"
    tests = """int main() {
        std::string s = "a"; std::vector<int> v{9};
        fill(s, v, 2);
        assert(s == "ab"); assert(v == (std::vector<int>{9, 2}));
    }"""
    result = judged(judge, f'{head} {{ text += "b"; out.push_back(n); }}', head, tests)
    assert verdicts(result) == ["AC", "AC"]


def test_helpers_and_structs_of_the_preamble_are_there_for_both(judge: Judge) -> None:
    preamble = "struct P { int x; int y; };\nint sum(P p) { return p.x + p.y; }\n"
    head = "P swap(P p)"
    tests = "int main() { assert(swap({1, 2}).x == 2); assert(sum(swap(P{3, 4})) == 7); }"
    result = judged(judge, f"{head} {{ return {{p.y, p.x}}; }}", head, tests, preamble=preamble)
    assert verdicts(result) == ["AC", "AC"]


def test_the_prototype_is_found_in_the_candidate(judge: Judge) -> None:
    program = "#include <bits/stdc++.h>\nusing namespace std;\nlong twice(long n) { return 2 * n; }\n"
    result = judged(judge, program, "", "int main() { auto candidate = twice; assert(candidate((3)) == (6)); }")
    assert (result.verdict, result.harness["mode"]) == ("AC", "rpc")


def test_tests_that_do_not_compile_are_the_data_sets_fault(judge: Judge) -> None:
    result = judged(judge, f"{ADD} {{ return 0; }}", tests="int main() { assert(add(1, 2) == nothing); }")
    assert (result.verdict, result.tests_passed) == (None, None)
    assert "harness_compile_failed" in str(result.error) and "nothing" in str(result.error)


def test_a_prototype_of_the_candidates_choice_that_does_not_fit_is_a_compile_error(judge: Judge) -> None:
    result = judged(judge, "std::string add(int a, int b) { return {}; }", "", "int main() { assert(add(1, 2) == 3); }")
    assert (result.verdict, result.error) == ("CE", None)
    assert "add" in result.stderr


def test_asserts_of_a_condition_list(judge: Judge) -> None:
    job = Job("j", f"{ADD} {{ return a + b; }}", ADD, [{"assert": "add(1, 2) == 3"}, {"assert": "add(1, 1) == 3"}])
    (result,) = judge.batch([job])
    assert verdicts(result) == ["AC", "WA"]


def test_many_candidates_share_one_program_of_tests(judge: Judge) -> None:
    before = judge.metrics.value("sandbox_compiles_total")
    jobs = [
        Job(str(i), f"{ADD} {{ int n = {i}; return a + b + (n % 2); }}", ADD, test_code=TESTS + "// other\n")
        for i in range(20)
    ]
    found = {r.id: r.verdict for r in judge.batch(jobs)}
    assert found == {str(i): "WA" if i % 2 else "AC" for i in range(20)}
    assert judge.metrics.value("sandbox_compiles_total") - before <= 3  # the tests, and one or two units


@pytest.mark.parametrize(
    "attack",
    [
        "struct A { A() { _exit(0); } } a;\n",
        "struct A { A() { for (int fd = 0; fd < 64; ++fd) { unsigned r[8] = {0, 0, 0, 0, 4, 0, 0, 0};"
        " for (int i = 0; i < 50; ++i) { r[1] = i; (void)!write(fd, r, 32);"
        ' (void)!write(fd, "\\3\\0\\0\\0", 4); } } } } a;\n',
        "#define assert(...) ((void)0)\n#define main other\n#define check skip\n",
        "namespace judge_harness { void end(unsigned, bool, unsigned) {} }\n",
    ],
)
def test_nothing_of_the_candidate_reaches_the_asserts(judge: Judge, attack: str) -> None:
    result = judged(judge, f"#include <unistd.h>\n{attack}{ADD} {{ return 99; }}")
    assert (result.tests_passed, result.error) == (0, None)


@pytest.mark.parametrize("tests", [TESTS, None])
def test_global_names_of_headers_that_are_not_included_are_free(judge: Judge, tests: str | None) -> None:
    code = f"#include <stdlib.h>\nusing namespace std;\nint count = 0;\n{ADD} {{ ++count; return a + b * count; }}"
    cases = [] if tests else [{"args": [1, 2], "expected": 3}]
    (result,) = judge.batch([Job("j", code, ADD, cases, test_code=tests or "")])
    assert result.verdict == "AC"


LOOP = "int main() { assert(true); for (int i = 0; i < 5; ++i) { int r = f(i); assert(r == 2 * i); } }"
HELPER = "void t(int x) { int r = f(x); assert(r == 2 * x); } int main() { for (int i = 0; i < 3; ++i) t(i); }"


@pytest.mark.parametrize("tests", [LOOP, HELPER])
@pytest.mark.parametrize("body", ["__builtin_trap();", "throw 1;", "for (;;) {}"])
def test_an_assert_that_would_have_run_again_is_no_pass(judge: Judge, tests: str, body: str) -> None:
    result = judged(judge, f"int f(int i) {{ if (i) {{ {body} }} return 0; }}", "int f(int i)", tests)
    assert result.tests[-1].verdict in ("RE", "TLE")
    assert result.verdict != "AC"


def test_asserts_before_a_crash_count(judge: Judge) -> None:
    tests = "int main() { assert(f(1) == 2); int r = f(0); assert(r == 0); }"
    result = judged(judge, "int f(int i) { if (!i) __builtin_trap(); return 2 * i; }", "int f(int i)", tests)
    assert verdicts(result) == ["AC", "RE"]


@pytest.mark.parametrize("body", ["__builtin_trap();", "for (;;) {}"])
def test_no_catch_of_the_tests_takes_a_crash_for_an_exception(judge: Judge, body: str) -> None:
    tests = """bool throws(int x) { try { f(x); } catch (...) { return true; } return false; }
    int main() { assert(throws(-1)); assert(f(3) == 3); }"""
    result = judged(judge, f"int f(int i) {{ if (i < 0) {{ {body} }} return i; }}", "int f(int i)", tests)
    assert verdicts(result)[0] in ("RE", "TLE")
    assert verdicts(result)[1] == "AC"


@pytest.mark.parametrize(
    ("thrown", "caught"),
    [
        ('std::invalid_argument("x")', "std::invalid_argument"),
        ('std::out_of_range("x")', "std::logic_error"),
        ('std::runtime_error("x")', "std::exception"),
        ("5", "..."),
    ],
)
def test_exceptions_arrive_by_type(judge: Judge, thrown: str, caught: str) -> None:
    other = "std::range_error" if caught != "std::range_error" else "int"
    name = caught if caught == "..." else f"const {caught}&"
    tests = f"""int main() {{
        int how = 0;
        try {{ f(-1); }} catch (const {other}&) {{ how = 2; }} catch ({name}) {{ how = 1; }}
        assert(how == 1);
    }}"""
    code = f"#include <stdexcept>\nint f(int i) {{ if (i < 0) throw {thrown}; return i; }}"
    assert judged(judge, code, "int f(int i)", tests).verdict == "AC"


def test_candidates_of_one_batch_may_choose_other_types(judge: Judge) -> None:
    tests = "int main() { assert(half(1) == 0.5); assert(half(4) == 2); }"
    codes = [
        "int half(int n) { return n / 2; }",
        "double half(double n) { return n / 2; }",
        "double half(double n) { return 0.5 * n; }",
    ]
    jobs = [Job(str(i), code, test_code=tests) for i, code in enumerate(codes)]
    assert {r.id: r.verdict for r in judge.batch(jobs)} == {"0": "PA", "1": "AC", "2": "AC"}


def test_large_arguments_are_passed(judge: Judge) -> None:
    head = "std::size_t count(std::vector<int> v)"
    tests = "int main() { std::vector<int> v(400000, 1); assert(count(v) == 400000); }"
    assert judged(judge, f"{head} {{ return v.size(); }}", head, tests).verdict == "AC"


def test_without_a_prototype_a_candidate_that_cannot_be_called_does_not_compile(judge: Judge) -> None:
    result = judged(judge, "hello", "", "int main() { assert(add(1, 2) == 3); }", harness="rpc")
    assert (result.verdict, result.error) == ("CE", None)

"""Twenty small tasks with a right solution, each in the form of every harness.

Belongs here: the tasks, and how one becomes five jobs. All of these have to pass with all tests counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cpp_pipeline.sandbox.canaries.programs.program import HEADERS, TIMEOUT_SECONDS, Program, test
from cpp_pipeline.sandbox.types import Job

_STREAMS = """#include <iostream>
template <class T> T get() { T value{}; std::cin >> value; return value; }
template <class T> std::vector<T> rest() { std::vector<T> all; for (T x; std::cin >> x;) all.push_back(x); return all; }
template <class T> void show(const T& value) { std::cout << value << ' '; }
template <class T> void show(const std::vector<T>& value) { for (const auto& x : value) show(x); }
template <class A, class B> void show(const std::pair<A, B>& value) { show(value.first); show(value.second); }
"""


@dataclass(frozen=True)
class Task:
    """One function: tests as JSON and as asserts, and as a program that reads `given` and prints `printed`."""

    signature: str
    body: str
    tests: tuple[dict[str, Any], ...]
    checks: tuple[str, ...]
    main: str
    given: str
    printed: str

    @property
    def name(self) -> str:
        """The function's name."""
        return self.signature.partition("(")[0].split()[-1]

    @property
    def code(self) -> str:
        """The function."""
        return f"{self.signature} {{ {self.body} }}\n"


TASKS = (
    Task(
        *("int add(int a, int b)", "return a + b;"),
        (test(3, 1, 2), test(-5, -2, -3)),
        ("add(1, 2) == 3", "add(-2, -3) == -5"),
        *("show(add(get<int>(), get<int>()));", "1 2", "3"),
    ),
    Task(
        *("int divisor(int a, int b)", "while (b != 0) { int r = a % b; a = b; b = r; } return a;"),
        (test(6, 12, 18), test(7, 7, 0)),
        ("divisor(12, 18) == 6", "divisor(7, 0) == 7"),
        *("show(divisor(get<int>(), 18));", "12", "6"),
    ),
    Task(
        *("bool is_prime(int n)", "for (int d = 2; d * d <= n; ++d) if (n % d == 0) return false; return n > 1;"),
        (test(True, 13), test(False, 1), test(False, 49)),
        ("is_prime(13)", "!is_prime(1)", "!is_prime(49)"),
        *("show(is_prime(get<int>()));", "13", "1"),
    ),
    Task(
        *("long long factorial(int n)", "return n < 2 ? 1 : n * factorial(n - 1);"),
        (test(1, 0), test(2432902008176640000, 20)),
        ("factorial(0) == 1", "factorial(20) == 2432902008176640000LL"),
        *("show(factorial(get<int>()));", "5", "120"),
    ),
    Task(
        *("uint64_t fibonacci(int n)", "uint64_t a = 0, b = 1; while (n-- > 0) { b += a; a = b - a; } return a;"),
        (test(0, 0), test(12200160415121876738, 93)),
        ("fibonacci(0) == 0", "fibonacci(93) == 12200160415121876738ULL"),
        *("show(fibonacci(get<int>()));", "10", "55"),
    ),
    Task(
        *("std::string reversed(const std::string& s)", "return std::string(s.rbegin(), s.rend());"),
        (test("cba", "abc"), test("", "")),
        ('reversed("abc") == "cba"', 'reversed("") == ""'),
        *("show(reversed(get<std::string>()));", "abc", "cba"),
    ),
    Task(
        *("bool is_palindrome(const std::string& s)", "return std::equal(s.begin(), s.end(), s.rbegin());"),
        (test(True, "abba"), test(False, "ab")),
        ('is_palindrome("abba")', '!is_palindrome("ab")'),
        *("show(is_palindrome(get<std::string>()));", "ab", "0"),
    ),
    Task(
        "int vowels(const std::string& s)",
        'int n = 0; for (char c : s) n += std::string("aeiou").find(c) != std::string::npos; return n;',
        (test(2, "banjo"), test(0, "xyz")),
        ('vowels("banjo") == 2', 'vowels("xyz") == 0'),
        *("show(vowels(get<std::string>()));", "banjo", "2"),
    ),
    Task(
        "std::string shifted(std::string s, int by)",
        "for (char& c : s) c = 'a' + (c - 'a' + by) % 26; return s;",
        (test("dab", "axy", 3), test("z", "z", 0)),
        ('shifted("axy", 3) == "dab"', 'shifted("z", 0) == "z"'),
        *("show(shifted(get<std::string>(), 3));", "axy", "dab"),
    ),
    Task(
        *("int largest(const std::vector<int>& v)", "return *std::max_element(v.begin(), v.end());"),
        (test(9, [3, 9, 2]), test(-1, [-1])),
        ("largest({3, 9, 2}) == 9", "largest({-1}) == -1"),
        *("show(largest(rest<int>()));", "3 9 2", "9"),
    ),
    Task(
        "long long squares(const std::vector<int>& v)",
        "long long s = 0; for (long long x : v) s += x * x; return s;",
        (test(10000000001, [1, 100000]), test(0, [])),
        ("squares({1, 100000}) == 10000000001LL", "squares({}) == 0"),
        *("show(squares(rest<int>()));", "3 4", "25"),
    ),
    Task(
        "std::vector<int> distinct(const std::vector<int>& v)",
        "std::set<int> s(v.begin(), v.end()); return std::vector<int>(s.begin(), s.end());",
        (test([1, 2, 3], [3, 1, 2, 3]), test([], [])),
        ("distinct({3, 1, 2, 3}) == std::vector<int>({1, 2, 3})", "distinct({}).empty()"),
        *("show(distinct(rest<int>()));", "3 1 3", "1 3"),
    ),
    Task(
        "std::vector<int> running(std::vector<int> v)",
        "for (size_t i = 1; i < v.size(); ++i) v[i] += v[i - 1]; return v;",
        (test([1, 3, 6], [1, 2, 3]), test([], [])),
        ("running({1, 2, 3}) == std::vector<int>({1, 3, 6})", "running({}).empty()"),
        *("show(running(rest<int>()));", "1 2 3", "1 3 6"),
    ),
    Task(
        "std::pair<int, int> extremes(const std::vector<int>& v)",
        "auto found = std::minmax_element(v.begin(), v.end()); return {*found.first, *found.second};",
        (test([1, 8], [5, 1, 8]), test([2, 2], [2])),
        ("extremes({5, 1, 8}) == std::make_pair(1, 8)", "extremes({2}).second == 2"),
        *("show(extremes(rest<int>()));", "5 1 8", "1 8"),
    ),
    Task(
        "std::vector<std::vector<int>> rows(int n)",
        "std::vector<std::vector<int>> t; for (int i = 1; i <= n; ++i) t.push_back(std::vector<int>(i, i)); return t;",
        (test([[1], [2, 2]], 2), test([], 0)),
        ("rows(2) == std::vector<std::vector<int>>({{1}, {2, 2}})", "rows(0).empty()"),
        *("show(rows(get<int>()));", "2", "1 2 2"),
    ),
    Task(
        "std::map<std::string, int> counts(const std::vector<std::string>& words)",
        "std::map<std::string, int> m; for (const auto& w : words) ++m[w]; return m;",
        (test([["a", 2], ["b", 1]], ["a", "b", "a"]), test([], [])),
        ('counts({"a", "b", "a"}).at("a") == 2', "counts({}).empty()"),
        *("for (const auto& x : counts(rest<std::string>())) show(x);", "b a b", "a 1 b 2"),
    ),
    Task(
        "double mean(const std::vector<double>& v)",
        "double s = 0; for (double x : v) s += x; return v.empty() ? 0 : s / v.size();",
        (test(2.5, [1, 2, 3, 4]), test(0, [])),
        ("std::fabs(mean({1, 2, 3, 4}) - 2.5) < 1e-9", "mean({}) == 0"),
        *("show(mean(rest<double>()));", "1 2", "1.5"),
    ),
    Task(
        "std::string binary(unsigned n)",
        "std::string s; do s.insert(s.begin(), '0' + n % 2); while (n /= 2); return s;",
        (test("101", 5), test("0", 0)),
        ('binary(5) == "101"', 'binary(0) == "0"'),
        *("show(binary(get<unsigned>()));", "5", "101"),
    ),
    Task(
        "std::optional<int> find(const std::vector<int>& v, int x)",
        "for (size_t i = 0; i < v.size(); ++i) if (v[i] == x) return (int)i; return std::nullopt;",
        (test(1, [4, 5], 5), test(None, [4], 5)),
        ("find({4, 5}, 5) == 1", "!find({4}, 5)"),
        *("show(find(rest<int>(), 5).value_or(-1));", "4 5", "1"),
    ),
    Task(
        "std::tuple<int, int, int> clock(int seconds)",
        "return {seconds / 3600, seconds / 60 % 60, seconds % 60};",
        (test([1, 1, 1], 3661), test([0, 0, 59], 59)),
        ("clock(3661) == std::make_tuple(1, 1, 1)", "std::get<2>(clock(59)) == 59"),
        *("show(std::get<1>(clock(get<int>())));", "3661", "1"),
    ),
)


def _job(code: str, checks: tuple[str, ...] = (), **fields: Any) -> Job:
    if checks:
        lines = "".join(f"    assert({check});\n" for check in checks)
        fields["test_code"] = f"#include <cassert>\nint main() {{\n{lines}}}\n"
    return Job("", code, preamble=HEADERS, timeout=TIMEOUT_SECONDS, **fields)


def in_every_mode() -> Iterator[tuple[str, Program]]:
    """(mode of the suite, program) for each task and mode."""
    for task in TASKS:
        n = len(task.checks)
        jobs = {
            "rpc": (len(task.tests), _job(task.code, prototype=task.signature, test_cases=list(task.tests))),
            "asserts": (n, _job(task.code, task.checks)),
            "stdio": (1, _job(_whole(task), test_cases=[{"stdin": task.given, "expected": task.printed}])),
            "inproc": (n, _job(*_in_class(task), harness="inproc")),
            "exit_code": (1, _job(task.code, task.checks, harness="exit_code")),
        }
        for mode, (total, job) in jobs.items():
            harness = "rpc" if mode == "asserts" else mode
            yield mode, Program(task.name, "AC", total, total, harness, job)


def _whole(task: Task) -> str:
    return f"{_STREAMS}{task.code}int main() {{ {task.main} }}\n"


def _in_class(task: Task) -> tuple[str, tuple[str, ...]]:
    """The function as a member of a class, and the asserts that call it there."""
    call = re.compile(rf"\b{task.name}\(")
    return f"struct Solution {{\n{task.code}}};\n", tuple(call.sub(f"Solution().{task.name}(", c) for c in task.checks)

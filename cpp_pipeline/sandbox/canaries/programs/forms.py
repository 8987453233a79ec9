"""Programs of every form: tests as code, whole programs, classes, other standards, sanitizers, and broken jobs.

Belongs here: what differs between harnesses and builds. Not here: the verdicts of one problem (`faults`).
"""

from __future__ import annotations

from dataclasses import replace

from cpp_pipeline.sandbox.canaries.programs.program import HEADERS, Program, called, checked, fed, test, unusable
from cpp_pipeline.sandbox.types import Caps, Job

_ABS = "int distance(int a, int b) { return a < b ? b - a : a - b; }\n"
_HALF = "int distance(int a, int b) { return b - a; }\n"
_WHOLE = "#include <bits/stdc++.h>\nusing namespace std;\n"
_LOOP = """#undef NDEBUG
#include <assert.h>
bool near(double a, double b) { return std::fabs(a - b) < 1e-6; }
int main() {
    for (int n = 0; n < 20; ++n)
        assert (near(root(n * n), n));
    auto candidate = root;
    assert(near(candidate(2.25), 1.5));
}
"""
_THROWS = """int main() {
    bool thrown = false;
    try { item({1, 2}, 2); } catch (const std::exception&) { thrown = true; }
    assert(thrown);
    assert(item({1, 2}, 1) == 2);
}
"""
_STACK = """template <class T> class Stack {
    std::vector<T> items;
public:
    void push(const T& x) { items.push_back(x); }
    T pop() { T x = items.back(); items.pop_back(); return x; }
    bool empty() const { return items.empty(); }
};
"""
_STACK_TEST = """int main() {
    Stack<int> s;
    assert(s.empty());
    s.push(3); s.push(4);
    assert(s.pop() == 4);
    assert(!s.empty());
}
"""
_LARGEST = "template <class T> T largest(T a, T b) { return a < b ? b : a; }\n"
_ECHO = "#include <iostream>\nint main() { long n, s = 0; while (std::cin >> n) s += n; std::cout << s << '\\n'; }\n"
_THIRD = '#include <cstdio>\nint main() { double x; scanf("%lf", &x); printf("%.9f\\n", x / 3); }\n'
_LINES = '#include <iostream>\nint main() { std::cout << "a\\n b\\n"; }\n'
_SPIN = "int main() { volatile int n = 0; for (;;) n = n + 1; }\n"
_SPEAK = '#include <cstdio>\nint main() { for (;;) puts("and so on, and so on, and so on, and so on"); }\n'
_HOARD = """#include <string>
#include <vector>
int main() { std::vector<std::string> v; for (;;) v.emplace_back(1 << 20, 'x'); }
"""
_PAST_END = "int a[4] = {0, 1, 2, 3}; volatile int at = n; int found = a[at]; return n < 4 ? found : 0;"
_FREED = "int* p = new int(n); delete p; volatile int seen = *p; return n + 0 * seen;"
_SPAN = "std::span<const int> s(v); return (int)std::ranges::count_if(s, [](int x) { return x > 0; });"
_CONTAINS = 'return std::to_string(n).contains("7");'
_IDENTITY, _POSITIVE = "int same(int n)", "int positive(const std::vector<int>& v)"
_SAME = Job("", f"{_IDENTITY} {{ return n; }}\n", _IDENTITY, [test(1, 1)])

_AS_CODE = (
    checked("asserts", "AC", _ABS, "distance(3, 5) == 2", "distance(5, 3) == 2", "distance(1, 1) == 0"),
    checked("asserts_half_true", "PA", _HALF, "distance(3, 5) == 2", "distance(5, 3) == 2", passed=1),
    checked("asserts_false", "WA", _HALF, "distance(5, 3) == 2"),
    checked("asserts_of_a_whole_file", "AC", _WHOLE + _ABS, "distance(3, 5) == 2", preamble=""),
    checked("assert_that_crashes", "PA", "int at(int n) { return 4 / n; }\n", "at(0) == 0", "at(2) == 2", passed=1),
    checked("assert_that_hangs", "PA", "int f(int n) { while (n) {} return 0; }\n", "f(1) == 0", "f(0) == 0", passed=1),
    checked("asserts_without_code", "CE", "", "distance(1, 1) == 0", prototype="int distance(int a, int b)"),
    replace(
        checked("asserts_in_loops", "AC", "double root(double x) { return std::sqrt(x); }\n", "1", "2"),
        job=Job("", "double root(double x) { return std::sqrt(x); }\n", preamble=HEADERS, test_code=_LOOP),
    ),
    replace(
        checked("asserts_on_exceptions", "AC", "", "1", "2"),
        job=Job(
            *("", "int item(const std::vector<int>& v, int at) { return v.at(at); }\n"),
            preamble=HEADERS,
            test_code=_THROWS,
        ),
    ),
    replace(
        checked("asserts_as_test_cases", "PA", _HALF, "1", "2", passed=1),
        job=Job("", _HALF, test_cases=[{"assert": "distance(3, 5) == 2"}, {"assert": "distance(5, 3) == 2"}]),
    ),
)
_IN_PROCESS = (
    replace(
        checked("class_template", "AC", _STACK, "1", "2", "3", mode="inproc"),
        job=Job("", _STACK, preamble=HEADERS, test_code=_STACK_TEST),
    ),
    replace(
        checked("class_template_wrong", "PA", "", "1", "2", "3", passed=2, mode="inproc"),
        job=Job("", _STACK.replace("items.back()", "items.front()"), preamble=HEADERS, test_code=_STACK_TEST),
    ),
    checked("function_template", "AC", _LARGEST, "largest(1, 2) == 2", "largest(2.5, 0.5) == 2.5", mode="inproc"),
    checked("undeclared_class", "CE", "", "Stack<int>().empty()", mode="inproc", harness="inproc"),
    checked("exit_code", "AC", _ABS, "distance(3, 5) == 2", mode="exit_code", harness="exit_code"),
    checked("exit_code_wrong", "WA|RE", _HALF, "distance(5, 3) == 2", mode="exit_code", harness="exit_code"),
)
_WHOLE_PROGRAMS = (
    fed("stdio", "AC", _ECHO, ("1 2 3\n", "6\n"), ("", "0")),
    fed("stdio_half_right", "PA", _ECHO, ("1 2 3\n", "6\n"), ("1", "2"), passed=1),
    fed("stdio_wrong", "WA", _LINES, ("", "a c")),
    fed("stdio_tokens", "AC", _LINES, ("", "  a\nb")),
    fed("stdio_exact", "AC", _LINES, ("", "a\n b\n"), compare="exact"),
    fed("stdio_not_exact", "WA", _LINES, ("", "a\nb\n"), compare="exact"),
    fed("stdio_float", "AC", _THIRD, ("1", "0.3333333331"), compare="float"),
    fed("stdio_not_float", "WA", _THIRD, ("1", "0.3334"), compare="float"),
    fed("stdio_crash", "RE", "int main() { return *(volatile int*)nullptr; }\n", ("", "")),
    fed("stdio_endless", "TLE", _SPIN, ("", "1")),
    fed("stdio_memory", "MLE", _HOARD, ("", "1"), caps=Caps(memory_mb=64)),
    fed("stdio_output", "OLE", _SPEAK, ("", "1")),
    fed("stdio_undeclared", "CE", "int main() { return nothing; }\n", ("", "1")),
)
_BUILDS = (
    called("cpp17", "AC", _IDENTITY, "if (int m = n; m) return m; return 0;", test(1, 1), std="c++17"),
    called("cpp17_lacks_ranges", "CE", _IDENTITY, "return std::ranges::max({n, n});", test(1, 1), std="c++17"),
    called("cpp20", "AC", _POSITIVE, _SPAN, test(2, [1, -1, 2]), before="#include <ranges>\n#include <span>\n"),
    called("cpp20_lacks_contains", "CE", _IDENTITY, _CONTAINS, test(1, 71)),
    called("cpp23", "AC", _IDENTITY, _CONTAINS, test(1, 71), test(0, 1), std="c++23"),
    called(
        "optimised", "AC", _IDENTITY, "int s = 0; for (int i = 0; i < n; ++i) ++s; return s;", test(9, 9), opt="-O2"
    ),
    called("optimised_crash", "RE", _IDENTITY, "std::vector<int> v(n); return v[n];", test(9, 9), opt="-O2"),
    called("reads_past_the_end", "AC", _IDENTITY, _PAST_END, test(0, 4), test(2, 2)),
    called("reads_past_the_end_seen", "PA", _IDENTITY, _PAST_END, test(0, 4), test(2, 2), passed=1, sanitize=True),
    called("use_after_free", "AC", _IDENTITY, _FREED, test(5, 5)),
    called("use_after_free_seen", "RE", _IDENTITY, _FREED, test(5, 5), sanitize=True),
    called(
        "overflow_seen",
        "RE",
        _IDENTITY,
        "volatile int big = 2147483647; return big + n - big;",
        test(1, 1),
        sanitize=True,
    ),
    called("sanitized", "AC", _IDENTITY, "std::vector<int> v(3, n); return v[2];", test(1, 1), sanitize=True),
)
_UNUSABLE = (
    unusable("broken_preamble", replace(_SAME, preamble="int broken = ;")),
    unusable("broken_test_code", replace(_SAME, test_cases=[], test_code="int main() { assert(same(1) = = 1); }\n")),
    unusable(
        "undeclared_in_test_code", replace(_SAME, test_cases=[], test_code="int main() { assert(same(x) == 1); }\n")
    ),
    unusable("no_assert_in_test_code", replace(_SAME, test_cases=[], test_code="int main() { same(1); }\n")),
    unusable("unreadable_prototype", replace(_SAME, prototype="int same(int* n)")),
    unusable("argument_of_wrong_type", replace(_SAME, test_cases=[test(1, "one")])),
    unusable("too_few_arguments", replace(_SAME, test_cases=[test(1)])),
    unusable("no_tests", replace(_SAME, test_cases=[])),
)

FORMS: tuple[Program, ...] = (*_AS_CODE, *_IN_PROCESS, *_WHOLE_PROGRAMS, *_BUILDS, *_UNUSABLE)

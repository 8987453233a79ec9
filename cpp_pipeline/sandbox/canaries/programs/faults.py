"""Programs that fail, and programs that look as if they had to: one problem, every verdict.

Belongs here: crashes, limits, and what a compiler refuses. Not here: wrong values (`values`), other forms (`forms`).
"""

from __future__ import annotations

from cpp_pipeline.sandbox.canaries.attacks.problem import RIGHT_SUM, SUM
from cpp_pipeline.sandbox.canaries.programs.program import HEADERS, Program, called
from cpp_pipeline.sandbox.types import Caps, Job

_ADD = "static int add(int a, int b) { return a + b; }\n"
_COUNTED = "static int calls = 0; if (++calls > 1) return -1; " + RIGHT_SUM
_THREADS = "int s = 0; std::thread t([&] { for (int x : v) s += x; }); t.join(); return s;"
_CAUGHT = "try { throw 1; } catch (int) {} " + RIGHT_SUM
_DEEP = "if (v.empty()) return 0; std::vector<int> w(v.begin(), v.end() - 1); return v.back() + solve(w);"
_ENDLESS = "int solve2(const std::vector<int>& v) { volatile int a[512] = {1}; return solve2(v) + a[0]; }\n"
_GROW = "std::vector<std::string> all; for (;;) all.push_back(std::string(1 << 20, 'x')); return 0;"
_SLOW = "volatile long n = 0; for (long i = 0; i < (1L << 40); ++i) n = n + 1; return 0;"
_LOCK = "std::mutex m; m.lock(); m.lock(); return 0;"
_TYPES = "template <int N, long K> struct Tree { Tree<N - 1, 2 * K> a; Tree<N - 1, 2 * K + 1> b; };\n"
_LEAF = "template <long K> struct Tree<0, K> {};\n"
_MANY = "".join(f"undeclared_{i} = {i};\n" for i in range(60))


def _sum(name: str, verdict: str, body: str, before: str = "", passed: int = 0, **options: object) -> Program:
    return called(name, verdict, SUM.signature, body, *SUM.tests, before=before, passed=passed, **options)


def _text(name: str, verdict: str, code: str, caps: Caps | None = None) -> Program:
    job = Job("", code, SUM.signature, list(SUM.tests), HEADERS, timeout=1.0, caps=caps or Caps())
    return Program(name, verdict, 0, len(SUM.tests), "rpc", job)


FAULTS: tuple[Program, ...] = (
    _sum("sum", "AC", RIGHT_SUM),
    _sum("sum_by_algorithm", "AC", "return std::accumulate(v.begin(), v.end(), 0);"),
    _sum("sum_by_index", "AC", "int s = 0; for (size_t i = 0; i < v.size(); ++i) s += v[i]; return s;"),
    _sum("sum_with_all_headers", "AC", RIGHT_SUM, "#include <bits/stdc++.h>\nusing namespace std;\n"),
    _sum("sum_with_helper", "AC", "int s = 0; for (int x : v) s = add(s, x); return s;", _ADD),
    _sum("sum_that_prints", "AC", 'std::cout << "42\\n"; std::cerr << "RPC1"; ' + RIGHT_SUM, "#include <iostream>\n"),
    _sum("sum_with_threads", "AC", _THREADS, "#include <thread>\n"),
    _sum("sum_with_exceptions", "AC", _CAUGHT),
    _sum("sum_with_brackets_in_text", "AC", """const char c = '{'; const std::string t = "))"; // }\n""" + RIGHT_SUM),
    _sum("sum_by_recursion", "AC", _DEEP),
    _sum("sum_with_own_main", "AC", RIGHT_SUM, "int solve(const std::vector<int>&);\nint main() { return 1; }\n"),
    _sum("calls_know_nothing_of_each_other", "AC", _COUNTED),
    _sum("constant", "PA", "return 0;", passed=2),
    _sum("crash_in_one_test", "PA", "if (v.empty()) return v.at(0); " + RIGHT_SUM, passed=7),
    _sum("slow_in_one_test", "PA", "while (v.size() == 7) {} " + RIGHT_SUM, passed=7),
    _sum("always_wrong", "WA", "return -7;"),
    _sum("uninitialised", "WA", "int s; for (int x : v) s += x; return s;"),
    _sum("index_out_of_bounds", "RE", "return v[v.size()];"),
    _sum("exception", "RE", "std::vector<int> none; return none.at(1);"),
    _sum("null_pointer", "RE", "return *(volatile int*)nullptr;"),
    _sum("division_by_zero", "RE", "volatile int zero = 0; return 6 / zero;"),
    _sum("abort", "RE", "std::abort();", "#include <cstdlib>\n"),
    _sum("own_assert", "RE", "assert(v.size() > 100); return 0;", "#include <cassert>\n"),
    # on a busy machine a second is not enough to fill the stack
    _sum("endless_recursion", "RE", "return solve2(v);", _ENDLESS, timeout=5.0),
    _sum("empty_optional", "RE", "std::optional<int> none; return none.value();"),
    _sum("endless_loop", "TLE", "while (true) {} return 0;"),
    _sum("slow_loop", "TLE", _SLOW),
    _sum("sleep", "TLE", "for (;;) pause();", "#include <unistd.h>\n"),
    _sum("deadlock", "TLE", _LOCK, "#include <mutex>\n"),
    _sum("too_much_memory_at_once", "MLE", "std::vector<long long> big(4000000000ULL); return (int)big.size();"),
    # on a busy machine the kernel takes its time to find that nothing can be reclaimed
    _sum("too_much_memory_by_and_by", "MLE", _GROW, caps=Caps(memory_mb=96), timeout=5.0),
    _sum("too_much_output", "OLE", "for (;;) puts(std::string(1000, 'x').c_str());", "#include <cstdio>\n"),
    _sum("too_many_errors", "OLE", "for (;;) std::cerr << std::string(1000, 'x');", "#include <iostream>\n"),
    called(
        "too_long_value",
        "OLE",
        "std::string text(int n)",
        "return std::string(1 << 21, 'x');",
        {"args": [1], "expected": ""},
    ),
    _sum("undeclared_name", "CE", "return undeclared_name;"),
    _sum("many_undeclared_names", "CE", _MANY + "return 0;"),
    _sum("wrong_type", "CE", "std::string s = v; return 0;"),
    _sum("error_in_template", "CE", "std::sort(1, 2); return 0;"),
    _sum("missing_header", "CE", "return 0;", "#include <no_such_header.hpp>\n"),
    _sum("failed_static_assert", "CE", 'static_assert(sizeof(int) == 3, "no"); return 0;'),
    _sum("undefined_function", "CE", "return elsewhere(v);", "int elsewhere(const std::vector<int>&);\n"),
    _text("unbalanced", "CE", f"{SUM.signature} {{ return 0; "),
    _text("no_code", "CE", ""),
    _text("prose", "CE", "Here is the function that you asked for."),
    _text("other_name", "CE", "int other(const std::vector<int>& v) { return 0; }"),
    _text("other_parameters", "CE", "int solve(const std::string& s, int n) { return 0; }"),
    _text("endless_header", "CLE", f'#include "/dev/zero"\n{SUM.signature} {{ return 0; }}\n'),
    _text("huge_object", "CLE", f"int big[1 << 30] = {{1}};\n{SUM.signature} {{ return big[v.size()]; }}\n"),
    _text(
        "endless_constexpr",
        "CLE",
        f"constexpr int f() {{ for (;;) {{}} }}\nconstexpr int n = f();\n{SUM.signature} {{ return n; }}\n",
    ),
    _text(
        "too_many_types",
        "CLE",
        f"{_TYPES}{_LEAF}{SUM.signature} {{ return sizeof(Tree<24, 1>); }}\n",
        Caps(compile_cpu_seconds=2, compile_memory_mb=512),
    ),
)

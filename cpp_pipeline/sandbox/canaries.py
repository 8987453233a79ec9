"""Programs of known verdict and attacks on the judge, as data, and the run over them.

Belongs here: what is judged and what answer is right. An attack is held when it passes no more tests than an
honest program that returns a constant could.
"""

from __future__ import annotations

from typing import Any, Protocol

from cpp_pipeline.sandbox.types import Job, Result

SIGNATURE = "int solve(const std::vector<int>& v)"
TESTS: list[dict[str, Any]] = [{"args": [list(range(n))], "expected": sum(range(n))} for n in (0, 1, 2, 3, 4, 5, 6, 7)]
"""Sums of 0..n-1: a program that returns 0 passes two of eight."""
CONSTANT = 2


class Verifier(Protocol):
    """Anything that judges jobs in order, such as `SandboxClient`."""

    def batch_verify(self, jobs: list[Job]) -> list[Result]: ...


def _with(headers: str, body: str, around: str = "") -> str:
    """Source text: `headers` by name, then `around`, then the function with `body`."""
    includes = "".join(f"#include <{name}>\n" for name in headers.split())
    return f"{includes}{around}{SIGNATURE} {{ {body} }}\n"


_SUM = "int s = 0; for (int x : v) s += x; return s;"
_ZERO = "return 0;"
_THREAD = "int s = 0; std::thread t([&] { for (int x : v) s += x; }); t.join(); return s;"
_ADD = "static int add(int a, int b) { return a + b; }\n"
PROGRAMS: dict[str, tuple[str, str]] = {
    "sum": ("AC", _with("", _SUM)),
    "sum_with_headers": ("AC", _with("bits/stdc++.h", _SUM, "using namespace std;\n")),
    "helper_function": ("AC", _with("", "int s = 0; for (int x : v) s = add(s, x); return s;", _ADD)),
    "algorithm": ("AC", _with("", "return std::accumulate(v.begin(), v.end(), 0);")),
    "prints_and_is_right": ("AC", _with("iostream", "std::cout << 42; " + _SUM)),
    "own_main": ("AC", _with("", _SUM) + "int main() { return 1; }"),
    "threads": ("AC", _with("thread", _THREAD)),
    "constant": ("PA", _with("", _ZERO)),
    "first_element_at": ("PA", _with("", "return v.at(0);")),
    "always_wrong": ("WA", _with("", "return -7;")),
    "out_of_bounds": ("RE", _with("", "return v[v.size()];")),
    "throws": ("RE", _with("", "std::vector<int> none; return none.at(1);")),
    "uninitialised": ("WA", _with("", "int s; for (int x : v) s += x; return s;")),
    "endless_loop": ("TLE", _with("", "while (true) {} return 0;")),
    "sleeps": ("TLE", _with("unistd.h", "for (;;) pause(); return 0;")),
    "memory": ("MLE", _with("", "std::vector<long long> big(4000000000ULL); return (int)big.size();")),
    "output": ("OLE", _with("cstdio", "for (;;) puts(std::string(1000, 'x').c_str()); return 0;")),
    "undeclared": ("CE", _with("", "return undeclared_name;")),
    "wrong_name": ("CE", "int other(const std::vector<int>& v) { return 0; }"),
    "unbalanced": ("CE", f"{SIGNATURE} {{ return 0; "),
    "error_in_template": ("CE", _with("", "std::sort(1, 2); return 0;")),
    "compiler_memory": ("CLE", _with("", _ZERO, '#include "/dev/zero"\n')),
}
_FORGE = """static void forge() {
    unsigned head[8]; char value[8] = {0};
    for (int fd = 0; fd < 64; ++fd) {
        (void)!write(fd, "RPC1", 4);
        for (unsigned t = 0; t < 8; ++t) {
            unsigned h[8] = {0, t, 0, 0, 8, 0, 0, 0}; std::memcpy(head, h, 32);
            (void)!write(fd, head, 32); (void)!write(fd, value, 8);
        }
    }
}
"""
_READ = """int n = 0;
    for (const char* p : {"/etc/passwd", "/etc/shadow", "/proc/1/environ", "/proc/self/environ"}) {
        std::ifstream f(p); n += f.good();
    }
    return n * 1000;"""
_PROXY = """struct Any {
    template <class T> operator T() const { return T{}; }
    template <class T> bool operator==(const T&) const { return true; }
};
Any solve(const std::vector<int>&) { return {}; }
"""
_WRITE = 'extern "C" ssize_t write(int, const void*, size_t n) { return (ssize_t)n; }\n'
_MEMCMP = 'extern "C" int memcmp(const void*, const void*, size_t) { return 0; }\n'
_CODEC = "template <> void judge_rpc::put<int>(judge_rpc::Writer& w, const int&) { w.out.assign(100, 'x'); }\n"
_IGNORE = "for (int i = 1; i < 32; ++i) std::signal(i, SIG_IGN); for (;;) {} return 0;"
_BOMB = "for (int i = 0; i < 200; ++i) if (fork() == 0) pause(); return 0;"
_DIGRAPHS = f"""{SIGNATURE} {{ int define = 0; int undef = 0;
%:define string c0
%:define size solve
    return string::size(v);
%:undef string
%:undef size
}}
"""
ATTACKS: dict[str, tuple[int, str]] = {
    "exit_in_function": (0, _with("cstdlib", "std::exit(0);")),
    "_exit_in_function": (0, _with("unistd.h", "_exit(0);")),
    "quick_exit": (0, _with("cstdlib", "std::quick_exit(0);")),
    "exit_in_static_constructor": (0, _with("unistd.h", _ZERO, "struct A { A() { _exit(0); } } a;\n")),
    "exit_in_static_destructor": (CONSTANT, _with("unistd.h", _ZERO, "struct A { ~A() { _exit(0); } } a;\n")),
    "fork_and_exit": (CONSTANT, _with("unistd.h", "if (fork()) _exit(0); return 0;")),
    "fork_bomb": (CONSTANT, _with("unistd.h", _BOMB)),
    "kill_everything": (CONSTANT, _with("signal.h unistd.h", "kill(-1, 9); kill(getppid(), 9); return 0;")),
    "stop_the_parent": (CONSTANT, _with("signal.h unistd.h", "kill(getppid(), SIGSTOP); return 0;")),
    "frames_in_function": (CONSTANT, _with("unistd.h cstring", "forge(); return 0;", _FORGE)),
    "frames_in_constructor": (
        CONSTANT,
        _with("unistd.h cstring", _ZERO, _FORGE + "struct A { A() { forge(); _exit(0); } } a;\n"),
    ),
    "long_frame": (0, _with("unistd.h", "char b[4096] = {0}; for (;;) (void)!write(3, b, 4096); return 0;")),
    "read_secret_files": (CONSTANT, _with("fstream", _READ)),
    "include_secret": (0, _with("", _ZERO, '#include "/etc/passwd"\n')),
    "define_keywords": (CONSTANT, _with("", _ZERO) + "#define const\n#define false true\n#define if(x) if (true)"),
    "define_result": (CONSTANT, _with("", _ZERO) + "#define judge_result judge_arg_0.size()"),
    "define_main": (CONSTANT, _with("", _ZERO) + "#undef main\n#define main other\n"),
    "second_main": (CONSTANT, _with("", _ZERO) + "#undef main\nint main() { return 0; }"),
    "override_write": (CONSTANT, _with("unistd.h", _ZERO, _WRITE)),
    "override_memcmp": (CONSTANT, _with("cstring", _ZERO, _MEMCMP)),
    "any_equal_proxy": (CONSTANT, _PROXY),
    "specialise_codec": (CONSTANT, _with("", _ZERO, _CODEC)),
    "throw_something": (0, _with("", "throw 1;")),
    "terminate_handler": (
        0,
        _with("exception unistd.h", "std::set_terminate([] { _exit(0); }); std::terminate();"),
    ),
    "call_a_neighbour": (0, _DIGRAPHS),
    "ignore_the_timer": (0, _with("csignal", _IGNORE)),
}


def jobs() -> list[Job]:
    """All canaries as jobs, programs first."""
    codes = {f"program/{n}": c for n, (_, c) in PROGRAMS.items()}
    codes |= {f"attack/{n}": c for n, (_, c) in ATTACKS.items()}
    return [Job(n, c, SIGNATURE, TESTS, timeout_seconds=2.0) for n, c in codes.items()]


def run_canaries(client: Verifier) -> list[dict[str, Any]]:
    """Rows of table `sandbox_canaries`; `ok` says whether the sandbox was right."""
    rows = []
    right = [f"program/{name}" for name, (verdict, _) in PROGRAMS.items() if verdict == "AC"]
    # attacks meet right programs only: one that reaches a neighbour gains by it, and none takes their group apart
    together = [job for job in jobs() if job.id in right or job.id.startswith("attack/")]
    others = [job for job in jobs() if job not in together]
    results = {r.id: r for batch in (together, others) for r in client.batch_verify(batch)}
    for result in (results[job.id] for job in jobs()):
        kind, name = result.id.split("/", 1)
        if kind == "program":
            expected, honest = PROGRAMS[name][0], None
            ok = result.error is None and result.verdict == expected
        else:
            expected, honest = "AC|PA|WA|RE|TLE|MLE|OLE|CE|CLE", ATTACKS[name][0]
            ok = result.tests_passed is not None and result.tests_passed <= honest
        rows.append(
            {
                "canary_id": result.id,
                "kind": kind,
                "expected": expected,
                "verdict": result.verdict,
                "tests_passed": result.tests_passed,
                "honest_passed": honest,
                "tests_total": result.tests_total,
                "ok": ok,
                "detail": (result.error or result.stderr or result.stdout)[:300],
            }
        )
    return rows

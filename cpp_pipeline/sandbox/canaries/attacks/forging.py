"""Attacks on the channel through which values come back: frames nobody asked for, and calls that disturb the runner.

Belongs here: what is written, read, closed or replaced in the candidate's own box. Forged values are constants, since
no expected value is there to be copied; so the best of them passes what a constant passes.
"""

from __future__ import annotations

from cpp_pipeline.sandbox.canaries.attacks.problem import SUM, Attack, attack

_ZERO = "return 0;"
_RECORDS = """static void records(unsigned status) {
    for (int fd = 1; fd < 64; ++fd) {
        (void)!write(fd, "RPC1", 4);
        for (unsigned test = 0; test < 8; ++test) {
            const unsigned head[8] = {0, test, status, 0, status ? 0u : 8u, 0, 0, 0};
            const char zero[8] = {0};
            (void)!write(fd, head, 32);
            (void)!write(fd, zero, status ? 0 : 8);
        }
    }
}
"""
_SUMMARY = """static void summary() {
    const unsigned head[8] = {0xffffffff, 0, 0, 0, 0, 0, 0, 0};
    for (int fd = 1; fd < 64; ++fd) { (void)!write(fd, "RPC1", 4); (void)!write(fd, head, 32); }
}
"""
_REPORT = """static void report() {
    for (int fd = 1; fd < 64; ++fd) {
        (void)!write(fd, "TST1", 4);
        for (unsigned site = 0; site < 8; ++site) {
            const unsigned head[7] = {0, site, 1, 0, 1, 0, 0};
            (void)!write(fd, head, 28);
        }
        const unsigned tail[7] = {0, 0xffffffff, 0, 0, 0, 0, 8};
        (void)!write(fd, tail, 28);
    }
}
"""
_FLOOD = "const int zero[1024] = {0}; for (;;) for (int fd = 1; fd < 64; ++fd) (void)!write(fd, zero, sizeof zero);"
_LATER = """if (fork() == 0) {
        usleep(300);
        const char zero[8] = {0};
        for (int i = 0; i < 400; ++i, usleep(100)) for (int fd = 1; fd < 16; ++fd) (void)!write(fd, zero, 8);
        _exit(0);
    }
    return 0;"""
_THREAD = """static void* late(void*) {
    for (int i = 0; i < 200; ++i, usleep(100)) records(0);
    return nullptr;
}
struct A { pthread_t t; A() { pthread_create(&t, 0, late, 0); } } a;
"""
_READER = """char page[4096]; unsigned long n = 0;
    for (int fd = 0; fd < 64; ++fd) {
        fcntl(fd, F_SETFL, O_NONBLOCK);
        for (long k; n < (1 << 20) && (k = read(fd, page, sizeof page)) > 0;) n += (unsigned long)k;
    }
"""
_GARBAGE = 'for (int fd = 1; fd < 64; ++fd) (void)!write(fd, "\\xff\\xff\\xff\\xff\\xff\\xff\\xff", 7); '
_DIGRAPHS = f"""{SUM.signature} {{ int define = 0; int undef = 0;
%:define string c0
%:define size solve
    return string::size(v);
%:undef string
%:undef size
}}
"""
_ASSEMBLER = 'asm(".linefile 1 \\"preamble\\"\\nnothing error: to assemble");\n'
_NEIGHBOUR = f"""namespace c0 {{ int solve(const std::vector<int>&); }}
namespace c1 {{ int solve(const std::vector<int>&); }}
{SUM.signature} {{ return c1::solve(v) + 0 * c0::solve(v); }}
"""

FORGING: tuple[Attack, ...] = (
    attack("values_in_function", "records(0); return 0;", _RECORDS, "unistd.h"),
    attack(
        "values_in_constructor",
        _ZERO,
        f"{_RECORDS}struct A {{ A() {{ records(0); _exit(0); }} }} a;\n",
        "unistd.h",
    ),
    attack("values_from_thread", _ZERO, _RECORDS + _THREAD, "pthread.h unistd.h"),
    attack("values_after_the_call", _LATER, headers="unistd.h"),
    attack("report_in_function", "report(); return 0;", _REPORT, "unistd.h"),
    attack("report_in_constructor", _ZERO, f"{_REPORT}struct A {{ A() {{ report(); }} }} a;\n", "unistd.h"),
    attack("nothing_to_judge", _ZERO, f"{_SUMMARY}struct A {{ A() {{ summary(); _exit(0); }} }} a;\n", "unistd.h"),
    attack(
        "trouble_of_the_machine", _ZERO, f"{_RECORDS}struct A {{ A() {{ records(7); _exit(0); }} }} a;\n", "unistd.h"
    ),
    attack("flood_of_values", _FLOOD, headers="unistd.h", lost=True),
    attack("flood_in_constructor", _ZERO, f"struct A {{ A() {{ {_FLOOD} }} }} a;\n", "unistd.h", lost=True),
    attack("long_value", "char b[4096] = {0}; for (;;) (void)!write(3, b, 4096);", headers="unistd.h", lost=True),
    attack("short_value", f"{_GARBAGE}_exit(0);", headers="unistd.h", lost=True),
    attack("value_after_garbage", f"{_GARBAGE}return 0;", headers="unistd.h"),
    attack("close_everything", "for (int fd = 0; fd < 1024; ++fd) close(fd); return 0;", headers="unistd.h"),
    attack("read_everything", f"{_READER}return 0;", headers="fcntl.h unistd.h"),
    attack(
        "read_everything_before_main",
        _ZERO,
        f"struct A {{ A() {{ {_READER}}} }} a;\n",
        "fcntl.h unistd.h",
    ),
    attack("replace_write", _ZERO, 'extern "C" ssize_t write(int, const void*, size_t n) { return n; }\n', "unistd.h"),
    attack("replace_read", _ZERO, 'extern "C" ssize_t read(int, void*, size_t) { return 0; }\n', "unistd.h"),
    attack("replace_fork", _ZERO, 'extern "C" int fork() { return -1; }\n'),
    attack("replace_wait", _ZERO, 'extern "C" int wait4(int, int* s, int, void*) { return *s = 0; }\n'),
    Attack("neighbour_by_digraph", 0, _DIGRAPHS),
    Attack("neighbour_declared", 0, _NEIGHBOUR),
    Attack("blame_the_preamble", 0, f'{SUM.signature} {{ return 0; }}\n#line 1 "preamble"\nint broken = ;\n'),
    attack("blame_the_preamble_in_assembler", _ZERO, _ASSEMBLER, lost=True),
    Attack("blame_the_tests", 0, f'{SUM.signature} {{ return 0; }}\n#line 1 "tests"\nint broken = ;\n'),
    Attack("blame_the_judge", 0, f'{SUM.signature} {{ return 0; }}\n#line 1 "judge"\nint broken = ;\n'),
)

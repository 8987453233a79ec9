"""Attacks that change what the tests mean: macros, operators, names of the harness, functions of the library.

Belongs here: text and symbols that a test would be compiled or linked with, if it were compiled with the candidate.
"""

from __future__ import annotations

from cpp_pipeline.sandbox.canaries.attacks.problem import SORTED, SQUARES, SUM, Attack, attack

_ZERO = "return 0;"
_ANY = """struct Any {
    template <class T> operator T() const { return T{}; }
    template <class T> bool operator==(const T&) const { return true; }
};
"""
_ALWAYS = """struct Always {
    template <class T> Always(const T&) {}
    explicit operator bool() const { return true; }
};
#define bool Always
"""
_MINE = 'extern "C" [[noreturn]] void mine(const char*, const char*, unsigned, const char*) { _exit(0); }\n'
_VECTORS = "const std::vector<int>&, const std::vector<int>&"
_PATCH = """unsigned char leave[] = {0x31, 0xff, 0xb8, 231, 0, 0, 0, 0x0f, 0x05};  // exit_group(0) of x86-64
    char* at = (char*)dlsym(RTLD_DEFAULT, "__assert_fail");
    char* page = (char*)((unsigned long)at & ~4095UL);
    if (at && mprotect(page, 8192, PROT_READ | PROT_WRITE | PROT_EXEC) == 0) std::memcpy(at, leave, sizeof leave);
    return 0;"""
_ASM_MAIN = """asm(".text\\n.globl main\\nmain:\\n xor %eax, %eax\\n ret");
#undef main
#define main hidden
"""
_REOPEN = """namespace judge_rpc { template <> struct Codec<int> {
    static void get(Reader& r, int& v) { std::int64_t n = 0; r.raw(&n, 8); v = (int)n; }
    static void put(Writer& w, const int&) { w.out.assign(8, 'x'); }
}; }
namespace judge_harness { template <class C> void check(unsigned, C) {} }
"""
_ENTRIES = """namespace judge_rpc { struct Reader; struct Writer; using Entry = void (*)(Reader&, Writer&); }
extern const unsigned judge_entry_count; const unsigned judge_entry_count = 0;
extern const unsigned judge_site_count; const unsigned judge_site_count = 0;
"""
_KEYWORDS = """
#define const
#define if(x) if (true)
#define return throw
#define try if (true)
#define catch(x) if (false)
"""


def _after(name: str, text: str) -> Attack:
    """An attack whose text follows a function that returns 0."""
    plain = attack(name, _ZERO)
    return Attack(name, plain.honest, plain.code + text)


REWRITING: tuple[Attack, ...] = (
    _after("define_assert", "#undef assert\n#define assert(...) ((void)0)\n"),
    _after("define_assert_dead", "#undef assert\n#define assert(...) if (0) (void)(__VA_ARGS__)\n"),
    _after("define_assert_by_digraph", "%:undef assert\n%:define assert(...) ((void)0)\n"),
    _after("assert_off", "#define NDEBUG\n#include <assert.h>\n"),
    _after("define_assert_failure", "#define __assert_fail(...) void()\n"),
    _after("define_bool", _ALWAYS),
    _after("define_function", f"{_ANY}#define solve(...) (Any{{}})\n"),
    _after("define_keywords", _KEYWORDS),
    _after("define_line", "#define __LINE__ 1\n#define __COUNTER__ 0\n#define __FILE__ 0\n"),
    _after("define_names_of_the_judge", "#define judge_result judge_arg_0.size()\n#define judge_in judge_out\n"),
    attack("define_false", "return true;", "#define false true\n", problem=SORTED),
    _after("own_main", "#undef main\nint main() { return 0; }\n#define main other\n"),
    attack("own_main_in_assembler", _ZERO, _ASM_MAIN),
    Attack("any_equal_result", SUM.honest, f"{_ANY}Any solve(const std::vector<int>&) {{ return {{}}; }}\n"),
    attack("equality", "return v;", f"bool operator==({_VECTORS}) {{ return true; }}\n", "vector", problem=SQUARES),
    attack(
        "equality_in_std",
        "return v;",
        f"namespace std {{ bool operator==({_VECTORS}) {{ return true; }} }}\n",
        "vector",
        problem=SQUARES,
    ),
    attack(
        "equality_template",
        "return v;",
        "template <class T> bool operator==(const std::vector<T, std::allocator<T>>&, const std::vector<T, "
        "std::allocator<T>>&) { return true; }\n",
        "vector",
        problem=SQUARES,
    ),
    attack(
        "replace_memcmp",
        "return std::vector<int>(v.size());",
        'extern "C" int memcmp(const void*, const void*, size_t) { return 0; }\n',
        "vector cstring",
        problem=SQUARES,
    ),
    attack(
        "replace_assert_failure",
        _ZERO,
        'extern "C" void __assert_fail(const char*, const char*, unsigned, const char*) noexcept { _exit(0); }\n',
        "unistd.h",
    ),
    attack("replace_assert_failure_weakly", _ZERO, f"{_MINE}#pragma weak __assert_fail = mine\n", "unistd.h"),
    attack(
        "replace_assert_failure_in_assembler",
        _ZERO,
        f'{_MINE}asm(".globl __assert_fail\\n.set __assert_fail, mine");\n',
        "unistd.h",
    ),
    attack("replace_abort", _ZERO, 'extern "C" void abort() { _exit(0); }\n', "cstdlib unistd.h"),
    attack("patch_assert_failure", _PATCH, headers="cstring dlfcn.h sys/mman.h"),
    attack(
        "specialise_codec",
        _ZERO,
        "template <> void judge_rpc::put<int>(judge_rpc::Writer& w, const int&) { w.out.assign(8, 'x'); }\n",
    ),
    attack("reopen_namespace_of_the_judge", _ZERO, _REOPEN),
    attack("no_entries", _ZERO, _ENTRIES),
)

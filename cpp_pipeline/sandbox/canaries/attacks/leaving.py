"""Attacks that end the program early with success, before a test has failed.

Belongs here: every way out of a process, and the moments before and after `main`. All of them deceive a judge that
believes an exit code; no call of theirs returns a value.
"""

from __future__ import annotations

from cpp_pipeline.sandbox.canaries.attacks.problem import Attack, attack

_ZERO = "return 0;"
_LEAVE = "static void leave() { _exit(0); }\n"
_LONGJMP = """static jmp_buf out;
int tests();
int main() { if (setjmp(out) == 0) tests(); return 0; }
#undef main
#define main tests
"""
# the address that the function returns to stands above its saved frame pointer
_SMASH = "void** frame = (void**)__builtin_frame_address(0); frame[1] = (void*)leave; return 0;"
_SYSCALL = """
#if defined(__x86_64__)
    asm volatile("syscall" : : "a"(231), "D"(0));
#else
    register long number asm("x8") = 94; register long status asm("x0") = 0;
    asm volatile("svc 0" : : "r"(number), "r"(status));
#endif
"""
# runs before the program is linked to the library, so that only a system call can leave
_IFUNC = """static int zero() { return 0; }
extern "C" int (*pick())() { LEAVE return zero; }
extern "C" int picked() __attribute__((ifunc("pick")));
""".replace("LEAVE", _SYSCALL)

LEAVING: tuple[Attack, ...] = (
    attack("exit", "std::exit(0);", headers="cstdlib", lost=True),
    attack("exit_underscore", "_exit(0);", headers="unistd.h", lost=True),
    attack("exit_by_pointer", "void (*volatile go)(int) = std::_Exit; go(1 - 1); return 0;", "", "cstdlib", lost=True),
    attack("exit_quickly", "std::quick_exit(0);", headers="cstdlib", lost=True),
    attack("exit_by_system_call", f"{_SYSCALL} return 0;", lost=True),
    attack("exit_in_thread_of_its_own", "pthread_exit(nullptr);", headers="pthread.h", lost=True),
    attack(
        "exit_from_other_thread",
        "pthread_t t; pthread_create(&t, 0, [](void*) -> void* { _exit(0); }, 0); for (;;) pause();",
        headers="pthread.h unistd.h",
        lost=True,
    ),
    attack("exit_in_constructor", _ZERO, "struct A { A() { _exit(0); } } a;\n", "unistd.h", lost=True),
    attack(
        "exit_in_first_constructor",
        _ZERO,
        "__attribute__((constructor(101))) static void early() { _exit(0); }\n",
        "unistd.h",
        lost=True,
    ),
    attack(
        "exit_in_init_array",
        _ZERO,
        f'{_LEAVE}__attribute__((section(".init_array"), used)) static void (*early)() = leave;\n',
        "unistd.h",
        lost=True,
    ),
    attack(
        "exit_in_preinit_array",
        _ZERO,
        f'{_LEAVE}__attribute__((section(".preinit_array"), used)) static void (*early)() = leave;\n',
        "unistd.h",
        lost=True,
    ),
    attack("exit_while_loading", "return picked();", _IFUNC, "unistd.h", lost=True),
    attack(
        "exit_in_place_of_main",
        _ZERO,
        'extern "C" int __libc_start_main(int (*)(int, char**, char**), ...) { _exit(0); }\n',
        "unistd.h",
        lost=True,
    ),
    attack("exit_in_destructor", "exit(1);", "struct A { ~A() { _exit(0); } } a;\n", "cstdlib unistd.h", lost=True),
    attack("exit_in_atexit", "std::atexit([] { _exit(0); }); std::exit(1);", "", "cstdlib unistd.h", lost=True),
    attack("exit_in_malloc", _ZERO, 'extern "C" void* malloc(size_t) { _exit(0); }\n', "cstdlib unistd.h", lost=True),
    attack("abort_handler", "std::signal(SIGABRT, [](int) { _exit(0); }); return 0;", "", "csignal unistd.h"),
    attack(
        "crash_handler",
        "std::signal(SIGSEGV, [](int) { _exit(0); }); *(volatile int*)8 = 1; return 0;",
        headers="csignal unistd.h",
        lost=True,
    ),
    attack(
        "terminate_handler",
        "std::set_terminate([] { _exit(0); }); throw 1;",
        headers="exception unistd.h",
        lost=True,
    ),
    attack("other_program", 'execl("/bin/true", "true", nullptr); return 0;', headers="unistd.h"),
    attack("fork_and_leave", "if (fork()) _exit(0); return 0;", headers="unistd.h"),
    attack("vfork_and_leave", "vfork(); _exit(0);", headers="unistd.h", lost=True),
    attack("longjmp_to_own_main", "longjmp(out, 1);", _LONGJMP, "setjmp.h", lost=True),
    attack("return_elsewhere", _SMASH, _LEAVE, "unistd.h", lost=True),
)

"""Attacks that look for the answers, or for a way out of the box; each gives the right answer if it finds one.

Belongs here: reads and system calls that must find nothing, and what is meant to exhaust the machine. All of it is
bounded, and aims at the box that it runs in.
"""

from __future__ import annotations

from cpp_pipeline.sandbox.canaries.attacks.problem import RIGHT_SUM, SUM, Attack, attack


def _if_found(name: str, search: str, before: str = "", headers: str = "") -> Attack:
    """The right answer when `search` makes `found` true; else 0."""
    return attack(name, f"bool found = false; {search} if (!found) return 0; {RIGHT_SUM}", before, headers)


_FILES = """for (const char* path : {"/etc/shadow", "/etc/passwd", "/etc/hostname", "/root/.bashrc", "/proc/1/environ",
                             "/proc/1/cmdline", "/proc/1/root/etc/passwd"})
        found |= open(path, O_RDONLY) >= 0;"""
_PARENT = """char path[64]; std::snprintf(path, sizeof path, "/proc/%d/mem", (int)getppid());
    char own[8], other[8]; iovec a{own, 8}, b{other, 8};
    found |= open(path, O_RDWR) >= 0 || process_vm_readv(getppid(), &a, 1, &b, 1, 0) > 0;
    const long handle = syscall(SYS_pidfd_open, getppid(), 0);
    for (int fd = 0; fd < 8; ++fd) found |= handle >= 0 && syscall(SYS_pidfd_getfd, handle, fd, 0) >= 0;"""
_WALK = """static bool solved;
static int look(const char* path, const struct stat* about, int kind, struct FTW*) {
    for (const char* known : {"/usr", "/proc", "/dev"}) if (!std::strcmp(path, known)) return FTW_SKIP_SUBTREE;
    if (kind != FTW_F || about->st_size > 1 << 24) return FTW_CONTINUE;
    std::string all(about->st_size, ' '), text = "solve({0, 1, 2}) =";
    if (std::FILE* file = std::fopen(path, "r")) all.resize(std::fread(&all[0], 1, all.size(), file));
    solved |= all.find(text + "= 3") != std::string::npos;
    return FTW_CONTINUE;
}
"""
# what the compiler keeps of an assert is its text, and that holds the expected value
_READ_ASSERTS = """std::string text = "solve({";
    for (size_t i = 0; i < v.size(); ++i) text += (i ? ", " : "") + std::to_string(v[i]);
    text += "}) == ";
    const char* at = (const char*)memmem(&__executable_start, &_end - &__executable_start, text.data(), text.size());
    return at ? std::atoi(at + text.size()) : 0;"""
_SCAN = """int hits = 0; char line[256];
    FILE* maps = std::fopen("/proc/self/maps", "r");
    unsigned long from = 0, to = 0; char mode[8];
    while (maps && std::fgets(line, sizeof line, maps))
        if (std::sscanf(line, "%lx-%lx %7s", &from, &to, mode) == 3 && mode[0] == 'r' && to - from < 1 << 22)
            for (const long* p = (const long*)from; p + 8 < (const long*)to; ++p)
                hits += p[0] == 0 && p[1] == 0 && p[2] == 1 && p[3] == 3 && p[4] == 6 && p[5] == 10 && p[6] == 15;
    found = hits > 0;"""
_NETWORK = """for (int family : {AF_INET, AF_INET6, AF_VSOCK, AF_NETLINK, AF_PACKET})
        for (int kind : {SOCK_STREAM, SOCK_DGRAM, SOCK_RAW}) found |= socket(family, kind, 0) >= 0;"""
_NAMESPACE = """found |= unshare(CLONE_NEWUSER) == 0 || unshare(CLONE_NEWNET) == 0 || chroot("/tmp") == 0;
    found |= mount("none", "/tmp", "tmpfs", 0, nullptr) == 0;
    found |= setuid(0) == 0 || syscall(SYS_bpf, 0, nullptr, 0) >= 0 || syscall(SYS_io_uring_setup, 1, nullptr) >= 0;"""
_RAISE = """for (int what : {RLIMIT_CPU, RLIMIT_NPROC, RLIMIT_FSIZE, RLIMIT_NOFILE, RLIMIT_CORE}) {
        rlimit limit{}; getrlimit((__rlimit_resource)what, &limit);
        if (limit.rlim_max == RLIM_INFINITY) { found = true; continue; }
        limit.rlim_max += 1; found |= setrlimit((__rlimit_resource)what, &limit) == 0;
    }"""
_DISK = """char block[1 << 16] = {1};
    for (int i = 0; i < 16; ++i) {
        std::FILE* file = std::fopen(("/tmp/f" + std::to_string(i)).c_str(), "w");
        for (int k = 0; file && k < 64; ++k) std::fwrite(block, 1, sizeof block, file);
    }
    return 0;"""
_BEFORE_SCAN = 'extern "C" char __executable_start, _end;\n'
_KILL = "kill(getppid(), SIGKILL); kill(-1, SIGKILL); return 0;"
_BOMB = "for (int i = 0; i < 200; ++i) if (fork() == 0) pause(); return 0;"
_IGNORE = "for (int i = 1; i < 32; ++i) std::signal(i, SIG_IGN); for (;;) {}"
_HEADERS = "cstdio fcntl.h sys/syscall.h sys/uio.h unistd.h"
_INCBIN = 'asm(".section .rodata\\n.incbin \\"/etc/passwd\\"\\n.text");\n'
_NO_LEAK = '#if __has_include("/etc/passwd") || __has_include("/proc/1/environ") || __has_include("/out/tests")'

PRYING: tuple[Attack, ...] = (
    _if_found("read_files", _FILES, headers="fcntl.h"),
    _if_found("read_parent", _PARENT, headers=_HEADERS),
    _if_found("trace_parent", "found = ptrace(PTRACE_ATTACH, getppid(), 0, 0) == 0;", headers="sys/ptrace.h unistd.h"),
    _if_found(
        "search_disk",
        'nftw("/", look, 16, FTW_PHYS | FTW_ACTIONRETVAL); found = solved;',
        _WALK,
        "cstdio cstring ftw.h string sys/stat.h",
    ),
    attack("read_asserts", _READ_ASSERTS, _BEFORE_SCAN, "cstdlib cstring string"),
    _if_found("scan_memory", _SCAN, headers="cstdio"),
    _if_found("network", _NETWORK, headers="sys/socket.h"),
    _if_found("new_namespace", _NAMESPACE, headers="sched.h sys/mount.h sys/syscall.h unistd.h"),
    _if_found("raise_limits", _RAISE, headers="sys/resource.h"),
    attack("fill_disk", _DISK, headers="cstdio string"),
    attack("open_files", 'while (open("/dev/null", 0) >= 0) {} return 0;', headers="fcntl.h"),
    attack("fork_bomb", _BOMB, headers="unistd.h"),
    attack("kill_everything", _KILL, headers="csignal unistd.h"),
    attack("stop_parent", "kill(getppid(), SIGSTOP); return 0;", headers="csignal unistd.h"),
    attack("ignore_timer", _IGNORE, headers="csignal", lost=True),
    Attack("include_secret", 0, f'#include "/etc/passwd"\n{SUM.signature} {{ {RIGHT_SUM} }}\n'),
    Attack("include_secret_in_assembler", 0, f"{_INCBIN}{SUM.signature} {{ {RIGHT_SUM} }}\n"),
    attack("find_secret_while_compiling", f"\n{_NO_LEAK}\n{RIGHT_SUM}\n#else\nreturn 0;\n#endif\n"),
    attack("include_runner", "return 0;", '#include "/box/native/runner.cpp"\n'),
    attack("include_input_of_the_compiler", "return 0;", '#include "/dev/stdin"\n'),
)

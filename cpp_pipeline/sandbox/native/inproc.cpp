// The program around a candidate and its tests in one unit: a supervisor forks the child that runs the tests' main.
// Sound only against accidents and simple tricks, since the candidate shares the child's memory, and has been in this
// process before main: results are marked forgeable. Linked with --wrap=main.
//
// argv:   CPU seconds between two asserts, CPU seconds in all, whole wall seconds in all
// stdin:  16 bytes that nobody else knows, read when the child has been made
// stdout: "CHK1", these bytes, u32 sites, per site {u32 ran, u32 status},
//         {u32 end, u32 current, u32 last, u32 cpu us, u32 out bytes, u32 err bytes}, out, err
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fcntl.h>
#include <iostream>
#include <new>
#include <string>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ctime>
#include <unistd.h>

extern "C" int __real_main(int, char**);
extern const unsigned judge_site_count;

namespace {

enum Status : std::uint32_t { FINE = 0, WRONG = 1, CRASH = 2, TIME = 3, MEMORY = 4, OUTPUT = 5, KILLED = 6 };
constexpr std::uint32_t kNoSite = ~0u;
constexpr std::size_t kTextKept = 4096, kNonce = 16;

struct Site {
    std::uint32_t ran, status;
};
// Shared with the child, so that what it found survives its end.
struct Shared {
    std::uint32_t current, last, thrown, done;
    Site sites[1];
};

Shared* shared;
itimerval step;

std::uint32_t exception_status() {
    try {
        throw;
    } catch (const std::bad_alloc&) {
        return MEMORY;
    } catch (...) {
        return CRASH;
    }
}

void finish(unsigned site, std::uint32_t status) {
    Site& s = shared->sites[site];
    s.ran = 1;
    if (s.status == FINE) s.status = status;
    shared->current = kNoSite;
    shared->last = site;
    setitimer(ITIMER_PROF, &step, nullptr);
}

[[noreturn]] void child(double cpu_seconds, int out, int err) {
    const auto whole = static_cast<rlim_t>(cpu_seconds) + 1;
    const rlimit cpu{whole, whole + 1};
    setrlimit(RLIMIT_CPU, &cpu);
    close(0);
    if (open("/dev/null", O_RDONLY) != 0 || dup2(out, 1) != 1 || dup2(err, 2) != 2) _exit(1);
    syscall(SYS_close_range, 3u, ~0u, 0u);
    setitimer(ITIMER_PROF, &step, nullptr);
    char name[] = "tests";
    char* argv[] = {name, nullptr};
    try {
        __real_main(1, argv);
        shared->done = 1;
    } catch (...) {
        shared->thrown = exception_status();
    }
    std::cout.flush();
    std::fflush(nullptr);
    _exit(0);
}

std::uint32_t end_of(int status, bool late) {
    if (late) return TIME;
    if (WIFSIGNALED(status)) {
        switch (WTERMSIG(status)) {
            case SIGPROF:
            case SIGXCPU: return TIME;
            case SIGXFSZ: return OUTPUT;
            case SIGKILL: return KILLED;
            default: return CRASH;
        }
    }
    if (WEXITSTATUS(status) != 0) return CRASH;
    return shared->done ? FINE : shared->thrown != FINE ? shared->thrown : CRASH;
}

std::string text(int fd) {
    std::string data(kTextKept, '\0');
    const ssize_t n = pread(fd, data.data(), data.size(), 0);
    data.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return data;
}

void add(std::string& to, std::uint32_t number) { to.append(reinterpret_cast<const char*>(&number), sizeof number); }

void report(std::uint32_t end, std::uint32_t micros, int out, int err) {
    std::string data = "CHK1";
    char nonce[kNonce];
    if (read(0, nonce, sizeof nonce) != static_cast<ssize_t>(sizeof nonce)) _exit(94);
    data.append(nonce, sizeof nonce);
    add(data, judge_site_count);
    for (unsigned i = 0; i < judge_site_count; ++i) {
        add(data, shared->sites[i].ran);
        add(data, shared->sites[i].status);
    }
    const std::string texts[] = {text(out), text(err)};
    for (const std::uint32_t n : {end, shared->current, shared->last, micros}) add(data, n);
    for (const std::string& t : texts) add(data, static_cast<std::uint32_t>(t.size()));
    data += texts[0] + texts[1];
    for (std::size_t at = 0; at < data.size();) {
        const ssize_t n = write(1, data.data() + at, data.size() - at);
        if (n <= 0) _exit(95);
        at += static_cast<std::size_t>(n);
    }
}

std::uint32_t micros(const rusage& u) {
    return static_cast<std::uint32_t>(1000000 * (u.ru_utime.tv_sec + u.ru_stime.tv_sec) + u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

bool ended_within(const sigset_t& ended, double seconds) {
    timespec left{static_cast<time_t>(seconds), 0};
    int found;
    while ((found = sigtimedwait(&ended, nullptr, &left)) < 0 && errno == EINTR) {}
    return found == SIGCHLD;
}

}  // namespace

namespace judge_checks {

void enter(unsigned site) {
    if (site >= judge_site_count) _exit(1);
    shared->current = site;
}
void leave(unsigned site, bool passed) { finish(site, passed ? FINE : WRONG); }
void threw(unsigned site) { finish(site, exception_status()); }

}  // namespace judge_checks

extern "C" int __wrap_main(int argc, char** argv) {
    if (argc != 4) return 91;
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    const double seconds = std::atof(argv[1]);
    step.it_value.tv_sec = static_cast<time_t>(seconds);
    step.it_value.tv_usec = static_cast<suseconds_t>(1e6 * (seconds - static_cast<double>(step.it_value.tv_sec)));
    const std::size_t size = sizeof(Shared) + sizeof(Site) * judge_site_count;
    void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    const int out = memfd_create("out", MFD_CLOEXEC), err = memfd_create("err", MFD_CLOEXEC);
    if (memory == MAP_FAILED || out < 0 || err < 0) _exit(92);
    shared = static_cast<Shared*>(memory);
    shared->current = shared->last = kNoSite;
    // waited for by signal, since callgrind knows no descriptors of processes
    signal(SIGCHLD, SIG_DFL);
    sigset_t ended, before;
    sigemptyset(&ended);
    sigaddset(&ended, SIGCHLD);
    sigprocmask(SIG_BLOCK, &ended, &before);
    const pid_t pid = fork();
    if (pid < 0) _exit(93);
    if (pid == 0) {
        sigprocmask(SIG_SETMASK, &before, nullptr);
        child(std::atof(argv[2]), out, err);
    }
    const bool late = !ended_within(ended, std::atof(argv[3]));
    kill(pid, SIGKILL);
    int status = 0;
    rusage usage{};
    while (wait4(pid, &status, 0, &usage) < 0 && errno == EINTR) {}
    report(end_of(status, late), micros(usage), out, err);
    _exit(0);
}

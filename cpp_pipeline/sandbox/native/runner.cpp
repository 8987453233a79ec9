// The program around the candidates: forks one child per test, collects its value frame and its output.
// It holds no expected value. Compiled once, linked to every candidate.
//
// stdin:  u32 bytes of the plan | u32 strict | u32 live | u32 text bytes of a call | f64 call cpu seconds | f64 cpu seconds per entry | u32 sets |
//         per set: u32 tests, per test: u32 bytes, arguments | per entry: u32 set
//         live: no sets; requests {u32 entry, u32 test, u32 bytes, arguments} follow until the end
// stdout: "RPC1", then per test a record {u32 entry, u32 test, u32 status, u32 detail, u32 value, out, err bytes, u32 cpu us},
//         last a record with entry 0xffffffff whose cpu is that of the whole program.
#define JUDGE_INSTANTIATE
#include "judge.hpp"
#include "thrown.hpp"

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <new>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ctime>
#include <unistd.h>

namespace {

enum Status : std::uint32_t { VALUE = 0, THREW = 1, DIED = 2, TIMEOUT = 3, MEMORY = 4, OUTPUT = 5, SKIPPED = 6, BROKEN = 7, KILLED = 9 };
constexpr std::size_t kValueCap = (1u << 20) + 9, kTextKept = 4096, kRequestCap = 64u << 20;
constexpr int kMemoryExit = 102;
constexpr int kForkAttempts = 100, kAskMilliseconds = 2;
constexpr unsigned kTimeoutsBeforeSkip = 2;
constexpr char kStarted = 'S';
constexpr double kStrictPatience = 4;  // there the processor's clock ends a call, and this one only a standstill

struct Plan {
    std::uint32_t strict = 0, live = 0, text_cap = 0;
    double call_seconds = 0, entry_seconds = 0;
    std::vector<std::vector<std::string>> sets;
    std::vector<std::uint32_t> set_of_entry;
};
struct Outcome {
    std::uint32_t status = DIED, detail = 0;
    std::string value, out, err;
    double cpu = 0;
};

double now() {
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}
double seconds(const rusage& u) {
    return static_cast<double>(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           1e-6 * static_cast<double>(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

bool read_all(int fd, void* into, std::size_t size) {
    for (char* at = static_cast<char*>(into); size > 0;) {
        const ssize_t n = read(fd, at, size);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        at += n;
        size -= static_cast<std::size_t>(n);
    }
    return true;
}

bool read_plan(int fd, Plan& plan) {
    std::uint32_t size = 0;
    if (!read_all(fd, &size, sizeof size)) return false;
    std::string in(size, '\0');
    if (!read_all(fd, in.data(), in.size())) return false;
    const auto* begin = reinterpret_cast<const unsigned char*>(in.data());
    judge_rpc::Reader r{begin, begin + in.size()};
    r.raw(&plan.strict, 4);
    r.raw(&plan.live, 4);
    r.raw(&plan.text_cap, 4);
    r.raw(&plan.call_seconds, 8);
    r.raw(&plan.entry_seconds, 8);
    plan.sets.resize(r.count());
    for (auto& set : plan.sets) {
        set.resize(r.count());
        for (auto& args : set) judge_rpc::get(r, args);
    }
    if (plan.live == 0) plan.set_of_entry.resize(judge_entry_count);
    for (auto& set : plan.set_of_entry) {
        r.raw(&set, 4);
        if (set >= plan.sets.size()) return false;
    }
    return r.ok && r.at == r.end;
}

// Only what computing needs; signals only to oneself. Keeps candidates of one group away from each other.
bool enter_strict_mode() {
    static const int allowed[] = {__NR_read, __NR_write, __NR_writev, __NR_close, __NR_mmap, __NR_munmap, __NR_mremap,
        __NR_mprotect, __NR_madvise, __NR_brk, __NR_exit, __NR_exit_group, __NR_rt_sigaction, __NR_rt_sigprocmask,
        __NR_rt_sigreturn, __NR_gettid, __NR_getpid, __NR_futex, __NR_clock_gettime, __NR_getrandom, __NR_restart_syscall};
    std::vector<sock_filter> code;
    const auto pid = static_cast<std::uint32_t>(getpid());
    const auto add = [&](std::uint16_t op, std::uint32_t k, std::uint8_t yes, std::uint8_t no) {
        code.push_back(sock_filter{op, yes, no, k});
    };
    add(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr), 0, 0);
    for (const int nr : allowed) {
        add(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(nr), 0, 1);
        add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
    }
    add(BPF_JMP | BPF_JEQ | BPF_K, __NR_tgkill, 0, 3);
    add(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args), 0, 0);
    add(BPF_JMP | BPF_JEQ | BPF_K, pid, 0, 1);
    add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
    add(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM, 0, 0);
    const sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}

void write_all(int fd, const std::string& data) {
    for (std::size_t at = 0; at < data.size();) {
        const ssize_t n = write(fd, data.data() + at, data.size() - at);
        if (n <= 0) return;
        at += static_cast<std::size_t>(n);
    }
}

[[noreturn]] void child(const Plan& plan, judge_rpc::Entry entry, const std::string& args, int value_fd) {
    itimerval timer{};
    timer.it_value.tv_sec = static_cast<time_t>(plan.call_seconds);
    timer.it_value.tv_usec =
        static_cast<suseconds_t>(1e6 * (plan.call_seconds - static_cast<double>(timer.it_value.tv_sec)));
    setitimer(ITIMER_PROF, &timer, nullptr);
    const auto hard = static_cast<rlim_t>(plan.call_seconds) + 2;
    const rlimit cpu{hard, hard};
    setrlimit(RLIMIT_CPU, &cpu);
    if (plan.strict && !enter_strict_mode()) _exit(1);
    // Told before the candidate runs, so that it can neither hide nor feign trouble of ours.
    if (write(value_fd, &kStarted, 1) != 1) _exit(1);
    try {
        const auto* begin = reinterpret_cast<const unsigned char*>(args.data());
        judge_rpc::Reader reader{begin, begin + args.size()};
        judge_rpc::Writer writer;
        entry(reader, writer);
        write_all(value_fd, writer.out);
    } catch (const std::bad_alloc&) {
        _exit(kMemoryExit);
    } catch (...) {
        _exit(judge_thrown::kFirstExit + judge_thrown::number());
    }
    _exit(0);
}

void take(int fd, std::string& into, std::size_t cap, bool& flooded) {
    char buffer[1 << 14];
    const ssize_t n = read(fd, buffer, sizeof buffer);
    if (n <= 0) return;
    if (into.size() + static_cast<std::size_t>(n) > cap) flooded = true;
    else into.append(buffer, static_cast<std::size_t>(n));
}

void judge(const Plan& plan, int status, bool late, bool flooded, Outcome& outcome) {
    const bool started = !outcome.value.empty() && outcome.value[0] == kStarted;
    if (started) outcome.value.erase(0, 1);
    // Nothing in strict mode can sleep: a late call that used little time stood still with the machine.
    const bool stalled = late && plan.strict && outcome.cpu < plan.call_seconds / 2;
    if (!started || stalled) outcome.status = BROKEN;
    else if (late) outcome.status = TIMEOUT;
    else if (flooded) outcome.status = OUTPUT;
    else if (WIFSIGNALED(status)) {
        outcome.detail = static_cast<std::uint32_t>(WTERMSIG(status));
        const bool timer = WTERMSIG(status) == SIGPROF || WTERMSIG(status) == SIGXCPU;
        outcome.status = timer ? TIMEOUT : WTERMSIG(status) == SIGKILL ? KILLED : DIED;
    } else {
        const int code = WEXITSTATUS(status);
        outcome.detail = static_cast<std::uint32_t>(code);
        outcome.status = code == 0            ? VALUE
                         : code >= judge_thrown::kFirstExit && code < judge_thrown::kFirstExit + 32 ? THREW
                         : code == kMemoryExit ? MEMORY
                                               : DIED;
    }
}

// What an earlier call left running would use up the processes that this box may have. Only the box's init is spared.
pid_t fork_alone(const Plan& plan) {
    for (int attempt = 0;; ++attempt) {
        if (!plan.strict) kill(-1, SIGKILL);
        const pid_t pid = fork();
        if (pid >= 0 || attempt == kForkAttempts) return pid;
        usleep(2000);
    }
}

// Where the kernel has no pidfd_open (valgrind and older sandboxes have not), the end of a child is asked for.
bool has_ended(pid_t pid) {
    siginfo_t info{};
    return waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid;
}

Outcome run(const Plan& plan, judge_rpc::Entry entry, const std::string& args) {
    Outcome outcome;
    int pipes[3][2];
    for (auto& p : pipes)
        if (pipe2(p, O_CLOEXEC) != 0) return outcome.status = BROKEN, outcome;
    const pid_t pid = fork_alone(plan);
    if (pid == 0) {
        dup2(pipes[1][1], 1);
        dup2(pipes[2][1], 2);
        dup2(pipes[0][1], 3);  // whatever was 3, it is the parent's end of an earlier pipe
        syscall(SYS_close_range, 4u, ~0u, 0u);
        child(plan, entry, args, 3);
    }
    for (auto& p : pipes) close(p[1]);
    const int handle = pid > 0 ? static_cast<int>(syscall(SYS_pidfd_open, pid, 0)) : -1;
    if (pid < 0) outcome.status = BROKEN;
    const double deadline = now() + (plan.strict ? kStrictPatience : 1) * (3 * plan.call_seconds + 1);
    bool late = false, flooded = false, ended = pid < 0;
    std::string* texts[3] = {&outcome.value, &outcome.out, &outcome.err};
    const std::size_t caps[3] = {kValueCap, plan.text_cap, plan.text_cap};
    while (true) {
        pollfd fds[4] = {{pipes[0][0], POLLIN, 0}, {pipes[1][0], POLLIN, 0}, {pipes[2][0], POLLIN, 0}, {handle, POLLIN, 0}};
        if (ended) fds[3].fd = -1;
        const bool asking = !ended && handle < 0;
        for (int i = 0; i < 3; ++i)
            if (pipes[i][0] < 0) fds[i].fd = -1;
        const double left = deadline - now();
        const int patience = ended ? 0 : left > 0 ? static_cast<int>(left * 1000) + 1 : 0;
        const int ready = poll(fds, 4, asking ? std::min(patience, kAskMilliseconds) : patience);
        if (asking && left > 0 && !(ended = has_ended(pid)) && ready == 0) continue;
        if (asking && ended) continue;  // once more, for what it wrote last
        if (ready == 0 && !ended) late = true;
        if (ready == 0 || late || flooded) break;
        if (fds[3].revents) ended = true;
        for (int i = 0; i < 3; ++i) {
            if (fds[i].revents & POLLIN) take(pipes[i][0], *texts[i], caps[i], flooded);
            else if (fds[i].revents) { close(pipes[i][0]); pipes[i][0] = -1; }
        }
    }
    if (pid > 0) {
        kill(pid, SIGKILL);
        int status = 0;
        rusage usage{};
        while (wait4(pid, &status, 0, &usage) < 0 && errno == EINTR) {}
        outcome.cpu = seconds(usage);
        judge(plan, status, late, flooded, outcome);
    }
    if (handle >= 0) close(handle);
    for (auto& p : pipes)
        if (p[0] >= 0) close(p[0]);
    return outcome;
}

void report(std::uint32_t entry, std::uint32_t test, Outcome& o) {
    o.out.resize(std::min(o.out.size(), kTextKept));
    o.err.resize(std::min(o.err.size(), kTextKept));
    if (o.status != VALUE) o.value.clear();
    const std::uint32_t head[8] = {entry, test, o.status, o.detail, static_cast<std::uint32_t>(o.value.size()),
        static_cast<std::uint32_t>(o.out.size()), static_cast<std::uint32_t>(o.err.size()), static_cast<std::uint32_t>(o.cpu * 1e6)};
    write_all(1, std::string(reinterpret_cast<const char*>(head), sizeof head) + o.value + o.out + o.err);
}

// What one candidate has used of its time.
struct Spent {
    double seconds = 0;
    unsigned timeouts = 0;
};

void call(const Plan& plan, std::uint32_t entry, std::uint32_t test, const std::string& args, Spent& spent) {
    Outcome outcome;
    if (spent.timeouts >= kTimeoutsBeforeSkip || spent.seconds > plan.entry_seconds) outcome.status = SKIPPED;
    else outcome = run(plan, judge_entries[entry], args);
    spent.seconds += outcome.cpu;
    spent.timeouts += outcome.status == TIMEOUT;
    report(entry, test, outcome);
}

void serve(const Plan& plan, int requests) {
    std::vector<Spent> spent(judge_entry_count);
    std::uint32_t head[3];
    std::string args;
    while (read_all(requests, head, sizeof head)) {
        if (head[0] >= judge_entry_count || head[2] > kRequestCap) return;
        args.resize(head[2]);
        if (!read_all(requests, args.data(), args.size())) return;
        call(plan, head[0], head[1], args, spent[head[0]]);
    }
}

}  // namespace

int main() {
    // A child that breaks out of C++ must not reach this process through /proc.
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    const int input = fcntl(0, F_DUPFD_CLOEXEC, 32);
    Plan plan;
    if (input < 0 || !read_plan(input, plan)) return 90;
    close(0);
    if (open("/dev/null", O_RDONLY) != 0) return 91;
    if (plan.live != 0) {
        serve(plan, input);
        return 0;
    }
    write_all(1, "RPC1");
    for (std::uint32_t e = 0; e < judge_entry_count; ++e) {
        const auto& tests = plan.sets[plan.set_of_entry[e]];
        Spent spent;
        for (std::uint32_t t = 0; t < tests.size(); ++t) call(plan, e, t, tests[t], spent);
    }
    Outcome total;
    rusage own{}, children{};
    getrusage(RUSAGE_SELF, &own);
    getrusage(RUSAGE_CHILDREN, &children);
    total.cpu = seconds(own) + seconds(children);
    report(0xffffffffu, 0, total);
}

// The trusted program around a problem's tests: runs them once for every candidate of the runner at the other end of
// its pipes. Compiled once, linked to the tests of each problem.
//
// argv:   entries, wall seconds of one call, wall seconds of one entry
// stdin:  records of the runner (see runner.cpp);  stdout: requests {u32 entry, u32 call, u32 bytes, arguments}
// stderr: "TST1", then per entry and assert {u32 entry, u32 site, u32 ran, u32 status, u32 passed, u32 bytes, u32 cpu us, value},
//         then {u32 entry, u32 0xffffffff, u32 end, u32 status, u32 out bytes, u32 err bytes, u32 calls, out, err}.
#include "judge.hpp"
#include "harness.hpp"
#include "thrown.hpp"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

// the statuses of runner.cpp that a record may hold
enum Status : std::uint32_t { VALUE = 0, THREW = 1, DIED = 2, TIMEOUT = 3, MEMORY = 4, OUTPUT = 5, SKIPPED = 6, BROKEN = 7, WRONG = 8, KILLED = 9 };
enum End : std::uint32_t { DONE = 0, CALL_FAILED = 1, CRASHED = 2, LATE = 3, LOST = 4 };
constexpr std::uint32_t kNoSite = ~0u;
constexpr std::size_t kValueKept = 4096, kTextKept = 4096, kFrameCap = (1u << 20) + 64, kMaxSites = 4096;
constexpr int kCallFailedExit = 71, kLostExit = 72, kLateExit = 73;
constexpr unsigned kRestarts = 16;

struct Site {
    std::uint32_t ran = 0, status = VALUE, failed = 0, skip = 0, bytes = 0;
    double cpu = 0;
    unsigned char value[kValueKept];
};
// Shared with the process that runs the tests, so that what it found survives its end.
struct Entry {
    std::uint32_t number, current, status, calls, out, err;
    char texts[2][kTextKept];
};

Site* sites;
Entry* entry;
int requests = -1, replies = -1, results = -1;
double call_seconds = 1;

double now() {
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

bool write_all(int fd, const void* data, std::size_t size) {
    for (const char* at = static_cast<const char*>(data); size > 0;) {
        const ssize_t n = write(fd, at, size);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        at += n;
        size -= static_cast<std::size_t>(n);
    }
    return true;
}

[[noreturn]] void lost() {
    _exit(kLostExit);  // the runner is gone: nothing that the tests would say now is about the candidate's values
}

void read_all(void* into, std::size_t size, double deadline) {
    for (char* at = static_cast<char*>(into); size > 0;) {
        pollfd fd{replies, POLLIN, 0};
        const double left = deadline - now();
        if (left <= 0 || poll(&fd, 1, static_cast<int>(left * 1000) + 1) == 0) _exit(kLateExit);
        const ssize_t n = read(replies, at, size);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) lost();
        at += n;
        size -= static_cast<std::size_t>(n);
    }
}

void keep_text(int which, const char* data, std::size_t size) {
    std::uint32_t& used = which == 0 ? entry->out : entry->err;
    const std::size_t room = std::min(size, kTextKept - used);
    std::memcpy(entry->texts[which] + used, data, room);
    used += static_cast<std::uint32_t>(room);
}

[[noreturn]] void throw_like_the_candidate(std::uint32_t exit_code) {
    judge_thrown::raise(exit_code);
    throw judge_harness::ThrewOther{};
}

// Outside of an assert no one can go on without the value; inside, the assert is over and the next one follows.
[[noreturn]] void give_up(std::uint32_t status) {
    if (entry->current != kNoSite) {
        judge_harness::mark(entry->current, status);  // whatever the tests catch, this assert has failed
        throw judge_harness::CallFailed{status};
    }
    entry->status = status;
    _exit(kCallFailedExit);
}

std::string reply_bytes;
bool threw = false;  // whether the exception under way is the candidate's; one of the tests themselves means a wrong value

[[noreturn]] void run_tests() {
    try {
        judge_tests();
        _exit(0);
    } catch (const judge_harness::CallFailed& failed) {
        entry->status = failed.status;
    } catch (...) {
        entry->status = threw ? THREW : WRONG;
    }
    _exit(kCallFailedExit);
}

// One pass over the tests in a process of its own.
End pass(double seconds) {
    entry->current = kNoSite;
    entry->status = VALUE;
    const pid_t pid = fork();
    if (pid < 0) return LOST;
    if (pid == 0) run_tests();
    const double deadline = now() + seconds;
    int status = 0;
    bool late = false;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (now() > deadline && !late) {
            kill(pid, SIGKILL);
            late = true;
        }
        usleep(200);
    }
    if (late) return LATE;
    if (!WIFEXITED(status)) return CRASHED;
    switch (WEXITSTATUS(status)) {
        case 0: return DONE;
        case kCallFailedExit: return CALL_FAILED;
        case kLateExit: return LATE;
        case kLostExit: return LOST;
        default: return CRASHED;
    }
}

void report(End end) {
    for (unsigned i = 0; i < judge_site_count; ++i) {
        Site& s = sites[i];
        const std::uint32_t head[7] = {entry->number, i, s.ran, s.status, s.ran > 0 && s.failed == 0 ? 1u : 0u, s.bytes,
            static_cast<std::uint32_t>(s.cpu * 1e6)};
        write_all(results, head, sizeof head);
        write_all(results, s.value, s.bytes);
    }
    const std::uint32_t tail[7] = {entry->number, kNoSite, end, entry->status, entry->out, entry->err, entry->calls};
    write_all(results, tail, sizeof tail);
    write_all(results, entry->texts[0], entry->out);
    write_all(results, entry->texts[1], entry->err);
}

void reset(std::uint32_t number) {
    for (unsigned i = 0; i < judge_site_count; ++i) sites[i] = Site{};
    *entry = Entry{};
    entry->number = number;
}

// A wrong value can end the tests themselves, for example where they index a result that is too short. They are run
// again without that assert, so that the ones behind it count.
End judge(double seconds) {
    const double until = now() + seconds;
    for (unsigned attempt = 0;; ++attempt) {
        for (unsigned i = 0; i < judge_site_count; ++i) {
            sites[i].ran = sites[i].skip;
            sites[i].cpu = 0;
        }
        entry->out = entry->err = 0;
        const End end = pass(std::max(0.1, until - now()));
        if (end != CRASHED || entry->current >= judge_site_count || attempt == kRestarts) return end;
        Site& guilty = sites[entry->current];
        guilty.skip = guilty.failed = guilty.ran = 1;
    }
}

int moved(int fd) {
    const int high = fcntl(fd, F_DUPFD_CLOEXEC, 64 / 2);
    if (high < 0) _exit(90);
    close(fd);
    return high;
}

}  // namespace

namespace judge_harness {

bool skipped(unsigned site) { return site >= judge_site_count || sites[site].skip != 0; }

unsigned begin(unsigned site) {
    threw = false;
    return std::exchange(entry->current, site);
}

void end(unsigned site, bool passed, unsigned outer) {
    Site& s = sites[site];
    ++s.ran;
    if (!passed && s.failed == 0) {
        s.failed = 1;
        s.bytes = static_cast<std::uint32_t>(std::min(reply_bytes.size(), kValueKept));
        std::memcpy(s.value, reply_bytes.data(), s.bytes);
    }
    entry->current = outer;
}

void mark(unsigned site, std::uint32_t status) {
    Site& s = sites[site];
    if (s.failed == 0) s.status = status;
    s.failed = 1;
}

void fail(unsigned site, unsigned outer) {
    mark(site, threw ? THREW : WRONG);
    ++sites[site].ran;
    entry->current = outer;
}

judge_rpc::Reader Call::send() {
    const std::uint32_t call = entry->calls++;
    const std::uint32_t head[3] = {entry->number, call, static_cast<std::uint32_t>(arguments.out.size())};
    const double deadline = now() + call_seconds;
    if (!write_all(requests, head, sizeof head) || !write_all(requests, arguments.out.data(), arguments.out.size())) lost();
    while (true) {
        std::uint32_t reply[8];
        read_all(reply, sizeof reply, deadline);
        if (reply[4] > kFrameCap || reply[5] > kFrameCap || reply[6] > kFrameCap) lost();
        std::string texts(std::size_t{reply[5]} + reply[6], '\0');
        reply_bytes.resize(reply[4]);
        read_all(reply_bytes.data(), reply_bytes.size(), deadline);
        read_all(texts.data(), texts.size(), deadline);
        if (reply[0] != entry->number || reply[1] != call) continue;  // of a pass that was ended
        keep_text(0, texts.data(), reply[5]);
        keep_text(1, texts.data() + reply[5], reply[6]);
        if (entry->current != kNoSite) sites[entry->current].cpu += 1e-6 * reply[7];
        threw = reply[2] == THREW;
        if (threw) throw_like_the_candidate(reply[3]);
        if (reply[2] != VALUE) give_up(reply[2] == WRONG || reply[2] > KILLED ? static_cast<std::uint32_t>(DIED) : reply[2]);
        break;
    }
    const auto* begin = reinterpret_cast<const unsigned char*>(reply_bytes.data());
    return judge_rpc::Reader{begin, begin + reply_bytes.size()};
}

void Call::finish(const judge_rpc::Reader& reply) {
    if (!reply.ok || reply.at != reply.end) give_up(DIED);
}

}  // namespace judge_harness

int main(int argc, char** argv) {
    if (argc != 4 || judge_site_count > kMaxSites) return 91;
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    signal(SIGPIPE, SIG_IGN);
    const auto entries = static_cast<std::uint32_t>(std::atoi(argv[1]));
    call_seconds = std::atof(argv[2]);
    replies = moved(0), requests = moved(1), results = moved(2);
    // what the tests print is nobody's result
    for (int fd = 0; fd < 3; ++fd)
        if (open("/dev/null", O_RDWR) != fd) return 92;
    const std::size_t size = sizeof(Entry) + sizeof(Site) * (judge_site_count + 1);
    void* shared = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) return 93;
    entry = static_cast<Entry*>(shared);
    sites = reinterpret_cast<Site*>(static_cast<char*>(shared) + sizeof(Entry));
    write_all(results, "TST1", 4);
    for (std::uint32_t e = 0; e < entries; ++e) {
        reset(e);
        const End end = judge(std::atof(argv[3]));
        report(end);
        if (end == LOST || end == LATE) return 0;  // what follows would wait as long, for an answer that does not come
    }
}

// Runs one program under a limit of processor time that may be a fraction of a second, and tells what it used.
//
// argv:   CPU seconds, program, its arguments
// stderr: after the program's own, 0x1e and "<CPU microseconds> <KB of memory at most>", a line of its own
// exit:   the program's code, or 128 + the signal that ended it (SIGPROF when the time was up)
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static long long micros(struct timeval t) { return 1000000LL * t.tv_sec + t.tv_usec; }

int main(int argc, char** argv) {
    if (argc < 3) return 125;
    const long long limit = (long long)(1e6 * atof(argv[1]));
    const pid_t pid = fork();
    if (pid < 0) return 126;
    if (pid == 0) {
        // it stays with the process over exec; a program that ignores it meets the box's own limit
        const struct itimerval timer = {{0, 0}, {limit / 1000000, limit % 1000000}};
        setitimer(ITIMER_PROF, &timer, NULL);
        execv(argv[2], argv + 2);
        _exit(127);
    }
    int status = 0;
    struct rusage used;
    if (wait4(pid, &status, 0, &used) != pid) return 126;
    dprintf(2, "\x1e%lld %ld\n", micros(used.ru_utime) + micros(used.ru_stime), used.ru_maxrss);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

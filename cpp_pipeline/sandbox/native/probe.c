/* Bounded escape attempts, run inside the box at start; prints "name closed" or "name open" a line. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void say(const char *name, int open) {
    printf("%s %s\n", name, open ? "open" : "closed");
    fflush(stdout);
}
static int strange_environment(void) {
    static const char *ours[] = {"PATH=", "LC_ALL=", "MALLOC_PERTURB_=", "PWD="};
    for (char **v = environ; *v; ++v) {
        int known = 0;
        for (unsigned i = 0; i < sizeof ours / sizeof *ours; ++i) known |= !strncmp(*v, ours[i], strlen(ours[i]));
        if (!known) return 1;
    }
    return 0;
}
static int readable(const char *path) {
    char c;
    int fd = open(path, O_RDONLY), n = fd < 0 ? 0 : (int)read(fd, &c, 1);
    if (fd >= 0) close(fd);
    return n > 0;
}
static int writable(const char *folder) {
    char path[512];
    snprintf(path, sizeof path, "%s/probe-%d", folder, (int)getpid());
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (fd >= 0) { close(fd); unlink(path); }
    return fd >= 0;
}
static int connects(int port) {
    struct sockaddr_in to = {0};
    to.sin_family = AF_INET;
    to.sin_port = htons((unsigned short)port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int open = fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0;
    if (fd >= 0) close(fd);
    return open;
}
static int forks(int most) {
    int made = 0;
    pid_t pids[512];
    while (made < most) {
        pid_t pid = fork();
        if (pid == 0) { pause(); _exit(0); }
        if (pid < 0) break;
        pids[made++] = pid;
    }
    for (int i = 0; i < made; ++i) { kill(pids[i], SIGKILL); waitpid(pids[i], 0, 0); }
    return made;
}

int main(int argc, char **argv) {
    if (argc == 2 && !strcmp(argv[1], "flood")) {
        char block[4096];
        memset(block, 'x', sizeof block);
        while (write(1, block, sizeof block) > 0) {}
        return 0;
    }
    if (argc == 2 && !strcmp(argv[1], "leave")) { /* a daemon that keeps stdout open */
        if (fork() == 0) { setsid(); if (fork() == 0) { for (;;) pause(); } _exit(0); }
        return 0;
    }
    if (argc != 3) return 2;
    say("loopback", connects(atoi(argv[1])));
    int vsock = socket(40, SOCK_STREAM, 0);
    say("vsock", vsock >= 0);
    say("shadow", readable("/etc/shadow") || readable("/etc/passwd"));
    say("environment", strange_environment() || readable("/proc/1/environ"));
    say("host_folder", readable(argv[2]));
    say("write_outside", writable("/") || writable("/usr") || writable("/etc") || writable("/box") || writable("/var/tmp"));
    say("user_namespace", unshare(CLONE_NEWUSER) == 0);
    say("mount", mount("none", "/tmp", "tmpfs", 0, "") == 0);
    say("ptrace", ptrace(PTRACE_TRACEME, 0, 0, 0) == 0);
    say("io_uring", syscall(425, 1, 0) >= 0 || errno != EPERM);
    struct rlimit most = {RLIM_INFINITY, RLIM_INFINITY};
    say("raise_limits", setrlimit(RLIMIT_NPROC, &most) == 0 || setrlimit(RLIMIT_AS, &most) == 0);
    say("root", getuid() == 0 || geteuid() == 0);
    say("fork_cap", forks(200) >= 200);
    return 0;
}

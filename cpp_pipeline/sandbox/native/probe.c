/* Bounded escape attempts, run inside the box at start; prints "name closed" or "name open" a line.

   probe               the main list; stdin: port, file, unix socket and process outside, a line each
   probe hold          leaves a file in the working folder, prints that folder, waits for the end of stdin
   probe read          tries to read the file that stdin names
   probe others        opens the memory of every other process that /proc shows; stdin: unix socket outside
   probe litter NAME   leaves a file of that name wherever it can; says where such files lie already
   probe forks N       how many of N processes can be had at once
   probe memory N      N processes use 64 MiB each at once
   probe fill N        writes N files of 1 MiB to the working folder, and waits a second
   probe flood         writes without end
   probe leave         leaves a process behind that keeps stdout open */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void say(const char *name, int open) {
    printf("%s %s\n", name, open ? "open" : "closed");
    fflush(stdout);
}
static int ours(const char *variable) {
    static const char *names[] = {"PATH=", "LC_ALL=", "MALLOC_PERTURB_=", "PWD=", "TMPDIR=", "HOME=/", "PYTHONPATH="};
    int known = 0;
    for (unsigned i = 0; i < sizeof names / sizeof *names; ++i) known |= !strncmp(variable, names[i], strlen(names[i]));
    return known;
}
static int strange_environment(void) { /* in our own environment, or in that of the box's first process */
    static char first[1 << 16];
    int strange = 0, fd = open("/proc/1/environ", O_RDONLY);
    ssize_t size = fd < 0 ? 0 : read(fd, first, sizeof first - 1);
    if (fd >= 0) close(fd);
    for (char *v = first; v < first + size; v += strlen(v) + 1) strange |= *v && !ours(v);
    for (char **v = environ; *v; ++v) strange |= !ours(*v);
    return strange;
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
static int connects_to_port(int port) {
    struct sockaddr_in to = {0};
    to.sin_family = AF_INET;
    to.sin_port = htons((unsigned short)port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int open = fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0;
    if (fd >= 0) close(fd);
    return open;
}
static int connects_to_name(const char *name) { /* as a file and as an abstract name */
    int open = 0;
    for (int abstract = 0; abstract < 2; ++abstract) {
        struct sockaddr_un to = {.sun_family = AF_UNIX};
        snprintf(to.sun_path + abstract, sizeof to.sun_path - 1, "%s", name);
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + abstract + strlen(name));
        open |= fd >= 0 && connect(fd, (struct sockaddr *)&to, size) == 0;
        if (fd >= 0) close(fd);
    }
    return open;
}
static int makes_socket(int family) {
    int fd = socket(family, SOCK_STREAM, 0);
    if (fd >= 0) close(fd);
    return fd >= 0;
}
static int sees_process(int pid) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
    return readable(path);
}
static int raises_limits(void) {
    struct rlimit most = {RLIM_INFINITY, RLIM_INFINITY};
    return !setrlimit(RLIMIT_CPU, &most) || !setrlimit(RLIMIT_AS, &most) || !setrlimit(RLIMIT_FSIZE, &most);
}
static int kernel_interfaces(void) {
    char attribute[128] = {0};
    return syscall(SYS_bpf, 0, attribute, sizeof attribute) >= 0 || syscall(SYS_userfaultfd, 1) >= 0 ||
           syscall(SYS_keyctl, 0, -3, 1) >= 0 || syscall(SYS_perf_event_open, attribute, 0, -1, -1, 0) >= 0;
}
static int forks(int most) {
    int made = 0;
    pid_t pids[2048];
    while (made < most && made < 2048) {
        pid_t pid = fork();
        if (pid == 0) { pause(); _exit(0); }
        if (pid < 0) break;
        pids[made++] = pid;
    }
    for (int i = 0; i < made; ++i) { kill(pids[i], SIGKILL); waitpid(pids[i], 0, 0); }
    return made;
}
static void use_memory(int processes) {
    for (int i = 0; i < processes; ++i) {
        if (fork() != 0) continue;
        char *block = malloc(64 << 20);
        if (block) memset(block, i + 1, 64 << 20);
        usleep(400000);
        _exit(block ? block[4096] == 0 : 0);
    }
    while (wait(0) > 0) {}
}
static int fill(int files) {
    static char block[1 << 20];
    for (int i = 0; i < files; ++i) {
        char name[32];
        snprintf(name, sizeof name, "fill-%d", i);
        int fd = open(name, O_WRONLY | O_CREAT, 0600);
        ssize_t done = fd < 0 ? 0 : write(fd, block, sizeof block);
        if (fd >= 0) close(fd);
        if (done != (ssize_t)sizeof block) return 0;
    }
    sleep(1);
    return 1;
}
static int opens_memory_of_others(void) {
    static char self[32]; /* /proc may be of another process namespace, with other numbers */
    int open_ones = 0, own = readlink("/proc/self", self, sizeof self - 1) > 0 ? atoi(self) : 0;
    DIR *processes = opendir("/proc"); /* names that are no numbers are no processes */
    for (struct dirent *entry; processes && (entry = readdir(processes));) {
        char path[64];
        int pid = atoi(entry->d_name);
        snprintf(path, sizeof path, "/proc/%d/mem", pid);
        int fd = pid <= 0 || pid == own ? -1 : open(path, O_RDWR);
        open_ones += fd >= 0;
        if (fd >= 0) close(fd);
    }
    return open_ones;
}
static int litter(const char *name) { /* how many lay there before */
    static const char *folders[] = {".", "..", "../..", "/tmp", "/var/tmp", "/dev/shm", "/run", "/run/cpp-pipeline"};
    int found = 0;
    for (int making = 0; making < 2; ++making) /* two names may be those of one folder */
        for (unsigned i = 0; i < sizeof folders / sizeof *folders; ++i) {
            char path[512];
            snprintf(path, sizeof path, "%s/%s", folders[i], name);
            int fd = making ? open(path, O_WRONLY | O_CREAT, 0600) : -1;
            found += !making && !access(path, F_OK);
            if (fd >= 0) close(fd);
        }
    return found;
}
static int line(char *to, int size) {
    if (!fgets(to, size, stdin)) return 0;
    to[strcspn(to, "\n")] = 0;
    return 1;
}

int main(int argc, char **argv) {
    static char port[64], file[512], name[128], pid[64];
    const char *what = argc > 1 ? argv[1] : "";
    int count = argc > 2 ? atoi(argv[2]) : 0;
    if (!strcmp(what, "flood")) {
        char block[4096];
        memset(block, 'x', sizeof block);
        while (write(1, block, sizeof block) > 0) {}
    } else if (!strcmp(what, "leave")) {
        if (fork() == 0) { setsid(); if (fork() == 0) { for (;;) pause(); } _exit(0); }
    } else if (!strcmp(what, "hold")) {
        int fd = open("held", O_WRONLY | O_CREAT, 0644);
        if (fd < 0 || write(fd, "secret", 6) != 6 || !getcwd(file, sizeof file)) return 1;
        chmod(".", 0755); /* may fail: then it is not ours, and open to all anyway */
        printf("%s/held\n", file);
        fflush(stdout);
        return line(port, sizeof port);
    } else if (!strcmp(what, "read")) {
        if (!line(file, sizeof file)) return 1;
        say("scratch_of_others", readable(file));
    } else if (!strcmp(what, "others")) {
        if (!line(name, sizeof name)) return 1;
        say("memory_of_others", opens_memory_of_others());
        say("runner_socket", connects_to_name(name));
    } else if (!strcmp(what, "litter") && argc > 2) {
        say("leftover_file", litter(argv[2]));
    } else if (!strcmp(what, "forks")) {
        printf("%d\n", forks(count));
    } else if (!strcmp(what, "memory")) {
        use_memory(count);
    } else if (!strcmp(what, "fill")) {
        say("fill_disk", fill(count));
    } else {
        if (!line(port, sizeof port) || !line(file, sizeof file) || !line(name, sizeof name) || !line(pid, sizeof pid))
            return 2;
        say("loopback", connects_to_port(atoi(port)));
        say("inet", makes_socket(AF_INET) || makes_socket(AF_INET6));
        say("vsock", makes_socket(40));
        say("host_socket", connects_to_name(name));
        say("shadow", readable("/etc/shadow") || readable("/etc/passwd"));
        say("environment", strange_environment());
        say("host_file", readable(file));
        say("write_outside", writable("/") || writable("/usr") || writable("/etc") || writable("/box") ||
                                 writable("/home") || writable("/var"));
        say("write_shared", writable("/dev/shm") || writable("/var/tmp") || writable("/run"));
        say("processes", sees_process(atoi(pid)));
        say("user_namespace", unshare(CLONE_NEWUSER) == 0);
        say("mount", mount("none", "/tmp", "tmpfs", 0, "") == 0 || chroot(".") == 0);
        say("io_uring", syscall(SYS_io_uring_setup, 1, 0) >= 0 || errno != EPERM);
        say("kernel_interfaces", kernel_interfaces());
        say("raise_limits", raises_limits());
        say("root", getuid() == 0 || geteuid() == 0 || setuid(0) == 0);
        kill(atoi(pid), SIGTERM); /* whether it arrives is seen outside */
        say("ptrace", ptrace(PTRACE_ATTACH, atoi(pid), 0, 0) == 0 || ptrace(PTRACE_TRACEME, 0, 0, 0) == 0);
    }
    return 0;
}

/* Starts one command confined, and ends every process that comes of it. Trusted: it reads only its own arguments.

   jail OPTION VALUE ... -- COMMAND ...
     -p PID        supervise: die with this parent, end all descendants when the command ends or on SIGTERM
     -s FD         write "started" there once the confinement stands
     -t PATH       the same, for a file
     -j FD         join the control group whose cgroup.procs is open there
     -k FD         keep open as long as the supervisor lives, but not in the command
     -l NAME=N:M   soft and hard limit of one resource
     -c FOLDER     working folder
     -u UID -g GID identity, without other groups
     -a UID        every process of this uid is ours: end them by uid
     -n WORDS      namespaces of its own: user, pid, network, IPC, names (the value is not used)
     -r -w -d PATH Landlock: what may be read and run, changed, used as a device; without any, no Landlock
     -o PID        Landlock: the command may read its own /proc/PID (the value is not used)
     -f PATH       system call filter to load
   `jail -V` prints the Landlock version of the kernel, 0 without one. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* numbers of linux/landlock.h, which may be older than the kernel */
enum { LANDLOCK_CREATE = 444, LANDLOCK_ADD = 445, LANDLOCK_RESTRICT = 446 };
enum { EXECUTE = 1, WRITE_FILE = 2, READ_FILE = 4, READ_DIR = 8, TRUNCATE = 1 << 14, IOCTL_DEV = 1 << 15 };
enum { ALL_FS = (1 << 16) - 1, MAKE_CHAR = 1 << 6, MAKE_SOCK = 1 << 9, MAKE_BLOCK = 1 << 11 };
enum { ALL_NET = 3, ALL_SCOPED = 3 };
enum { BOX_NICENESS = 5 };
struct ruleset { uint64_t fs, net, scoped; };
struct beneath { uint64_t allowed; int32_t fd; } __attribute__((packed));

static const struct { const char *name; int number; } RESOURCES[] = {
    {"cpu", RLIMIT_CPU},     {"as", RLIMIT_AS},       {"nproc", RLIMIT_NPROC}, {"fsize", RLIMIT_FSIZE},
    {"nofile", RLIMIT_NOFILE}, {"stack", RLIMIT_STACK}, {"core", RLIMIT_CORE},   {"memlock", RLIMIT_MEMLOCK},
    {"msgqueue", RLIMIT_MSGQUEUE},
};

static void fail(const char *what, const char *on) {
    fprintf(stderr, "jail: %s %s: %s\n", what, on, strerror(errno));
    _exit(125);
}
static int number(const char *text) {
    char *end;
    errno = EINVAL;
    long value = strtol(text, &end, 10);
    if (end == text || *end || value < 0 || value > INT32_MAX) fail("number", text);
    return (int)value;
}
static void limit(const char *order) {
    unsigned long long soft, hard;
    const char *at = strchr(order, '=');
    errno = EINVAL;
    if (!at || sscanf(at, "=%llu:%llu", &soft, &hard) != 2) fail("limit", order);
    for (unsigned i = 0; i < sizeof RESOURCES / sizeof *RESOURCES; ++i) {
        if (strlen(RESOURCES[i].name) != (size_t)(at - order) || strncmp(order, RESOURCES[i].name, at - order)) continue;
        struct rlimit now, next = {soft, hard};
        if (getrlimit(RESOURCES[i].number, &now)) fail("limit", order);
        if (next.rlim_max > now.rlim_max) next.rlim_max = now.rlim_max; /* tighter than asked is as good */
        if (next.rlim_cur > next.rlim_max) next.rlim_cur = next.rlim_max;
        if (!setrlimit(RESOURCES[i].number, &next)) return;
        /* gVisor knows no limit of message queues, and gives a box of its own IPC namespace none but its own */
        if (errno != EPERM || RESOURCES[i].number != RLIMIT_MSGQUEUE) fail("limit", order);
        return;
    }
    fail("limit", order);
}
static void allow(int rules, char kind, const char *path) {
    struct stat found;
    struct beneath rule = {EXECUTE | READ_FILE | READ_DIR, open(path, O_PATH | O_CLOEXEC)};
    if (rule.fd < 0 || fstat(rule.fd, &found)) fail("open", path);
    if (kind == 'w') rule.allowed = ALL_FS & ~(MAKE_CHAR | MAKE_SOCK | MAKE_BLOCK | IOCTL_DEV);
    if (kind == 'd') rule.allowed = READ_FILE | WRITE_FILE | TRUNCATE;
    if (kind == 'o') rule.allowed = READ_FILE | READ_DIR;
    if (!S_ISDIR(found.st_mode)) rule.allowed &= EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE;
    if (syscall(LANDLOCK_ADD, rules, 1, &rule, 0)) fail("landlock rule", path);
    close(rule.fd);
}
static void filter(int fd) {
    static struct sock_filter code[1024];
    ssize_t size = read(fd, code, sizeof code);
    close(fd);
    struct sock_fprog program = {(unsigned short)(size / (ssize_t)sizeof *code), code};
    if (size <= 0 || prctl(PR_SET_SECCOMP, 2 /* filter */, &program)) fail("seccomp", "filter");
}
static void prefer_for_oom(void) { /* when the machine itself runs out of memory, boxes go first */
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0 && write(fd, "1000", 4) < 0) {}
    if (fd >= 0) close(fd);
}

static int code_of(int status) { return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status); }

/* A caller may ignore or block signals, and exec hands that on: the command has to die of them all the same. */
static void forget_signals(void) {
    const struct sigaction standard = {.sa_handler = SIG_DFL};
    sigset_t none;
    sigemptyset(&none);
    for (int number = 1; number < NSIG; ++number) sigaction(number, &standard, 0); /* fails for KILL, STOP and libc's */
    sigprocmask(SIG_SETMASK, &none, 0);
}

static void end_uid(int uid) {
    pid_t killer = fork(); /* one call, during which none of them can fork */
    if (killer == 0) {
        if (!setresuid(uid, uid, uid)) kill(-1, SIGKILL);
        _exit(0);
    }
}
static void end_children(void) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    FILE *list = fopen(path, "re");
    for (int pid; list && fscanf(list, "%d", &pid) == 1;) kill(pid, SIGKILL);
    if (list) fclose(list);
}

static sigset_t supervised(void) {
    sigset_t awaited;
    sigemptyset(&awaited);
    sigaddset(&awaited, SIGCHLD);
    sigaddset(&awaited, SIGTERM);
    return awaited;
}

/* Waits for the command, then until nothing is left of it: orphans become ours, since we are a subreaper. */
static int supervise(pid_t command, int uid, int own_namespaces) {
    int code = 128 + SIGKILL, ending = 0, status;
    const struct timespec again = {0, 5000000};
    const sigset_t awaited = supervised();
    for (;;) {
        pid_t pid;
        while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
            if (pid != command) continue;
            code = code_of(status);
            command = 0;
            ending = 1;
        }
        if (pid < 0 && errno == ECHILD) return code;
        if (ending) {
            if (command > 0) kill(command, own_namespaces ? SIGTERM : SIGKILL); /* which the first of them waits for */
            if (uid >= 0) end_uid(uid);
            end_children();
        }
        int got = ending ? sigtimedwait(&awaited, 0, &again) : sigwaitinfo(&awaited, 0);
        if (got == SIGTERM) ending = 1;
    }
}

static void put(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0) fail("write", path);
    close(fd);
}

/* Goes on in namespaces of its own, as a child of their first process, which reaps, and ends them with the command. */
static void separate(void) {
    char uid[64], gid[64];
    int status;
    snprintf(uid, sizeof uid, "%d %d 1", (int)geteuid(), (int)geteuid());
    snprintf(gid, sizeof gid, "%d %d 1", (int)getegid(), (int)getegid());
    if (unshare(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS)) fail("namespaces", "of a user");
    if (!access("/proc/self/setgroups", F_OK)) put("/proc/self/setgroups", "deny"); /* gVisor has none */
    put("/proc/self/uid_map", uid);
    put("/proc/self/gid_map", gid);
    const sigset_t awaited = supervised();
    sigprocmask(SIG_BLOCK, &awaited, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    pid_t first = fork();
    if (first < 0) fail("fork", "namespaces");
    if (first > 0) {
        prctl(PR_SET_DUMPABLE, 0); /* the command has the same uid */
        for (int fd = 0; fd < 3; ++fd) close(fd);
        _exit(supervise(first, -1, 0));
    }
    sigprocmask(SIG_UNBLOCK, &awaited, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    pid_t command = fork();
    if (command < 0) fail("fork", "namespaces");
    if (command == 0) return;
    prctl(PR_SET_DUMPABLE, 0);
    for (int fd = 0; fd < 3; ++fd) close(fd);
    for (pid_t ended; (ended = waitpid(-1, &status, 0)) != command;)
        if (ended < 0 && errno != EINTR) _exit(125);
    _exit(code_of(status)); /* and all others of the namespace end */
}

/* What the options ask of the command's process; the last step is exec. */
static void confine(char **options, char **command) {
    int started = -1, program = -1, rules = -1, gid = -1, uid = -1;
    for (char **o = options; *o; o += 2) {
        char kind = o[0][1];
        const char *value = o[1];
        if (strchr("rwdo", kind)) {
            struct ruleset all = {ALL_FS, ALL_NET, ALL_SCOPED};
            if (rules < 0) rules = (int)syscall(LANDLOCK_CREATE, &all, sizeof all, 0);
            if (rules < 0) fail("landlock", "create");
            allow(rules, kind, kind == 'o' ? "/proc/self/" : value);
        }
        if (kind == 'j' && write(number(value), "0", 1) != 1) fail("control group", value);
        if (kind == 'c' && chdir(value)) fail("chdir", value);
        if (kind == 'l') limit(value);
        if (kind == 's') started = number(value);
        if (kind == 't' && (started = open(value, O_WRONLY | O_CLOEXEC)) < 0) fail("open", value);
        if (kind == 'f' && (program = open(value, O_RDONLY | O_CLOEXEC)) < 0) fail("open", value);
        if (kind == 'g') gid = number(value);
        if (kind == 'u') uid = number(value);
        if (kind == 'n') separate();
    }
    if (gid >= 0 && (setgroups(0, 0) || setresgid(gid, gid, gid))) fail("setgid", "");
    if (uid >= 0 && setresuid(uid, uid, uid)) fail("setuid", "");
    if (gid >= 0) umask(0002); /* the group is that of all boxes: a later one may go on with a folder */
    if ((rules >= 0 || program >= 0) && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) fail("no_new_privs", "");
    if (rules >= 0 && syscall(LANDLOCK_RESTRICT, rules, 0)) fail("landlock", "restrict");
    if (program >= 0) filter(program);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* changing the uid clears it, so not earlier */
    if (started >= 0 && write(started, "started", 7) != 7) fail("write", "started");
    execv(command[0], command);
    fail("start", command[0]);
}

int main(int argc, char **argv) {
    int parent = 0, ours = -1, own = 0;
    if (argc == 2 && !strcmp(argv[1], "-V")) {
        long version = syscall(LANDLOCK_CREATE, 0, 0, 1);
        return printf("%ld\n", version < 0 ? 0 : version) < 0;
    }
    char **options = argv + 1, **command = options;
    for (; command < argv + argc && strcmp(*command, "--"); command += 2) {
        if (command + 1 >= argv + argc || command[0][0] != '-' || !command[0][1]) return 125;
        if (strchr("sjk", command[0][1]) && fcntl(number(command[1]), F_SETFD, FD_CLOEXEC)) fail("descriptor", command[1]);
        if (command[0][1] == 'p') parent = number(command[1]);
        if (command[0][1] == 'a') ours = number(command[1]);
        own |= command[0][1] == 'n';
    }
    if (command + 1 >= argv + argc) return 125;
    *command++ = 0; /* where the options end */
    forget_signals();
    if (!parent) confine(options, command);
    const sigset_t awaited = supervised();
    sigprocmask(SIG_BLOCK, &awaited, 0);
    if (prctl(PR_SET_PDEATHSIG, SIGTERM)) fail("prctl", "supervise");
    /* gVisor of 2022 has no subreapers; a process namespace leaves no orphans */
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) && !own) fail("prctl", "subreaper");
    if (getppid() != parent) return 125; /* it died before we could ask to be told */
    pid_t pid = fork();
    if (pid < 0) fail("fork", "");
    if (pid == 0) {
        sigprocmask(SIG_UNBLOCK, &awaited, 0);
        setpriority(PRIO_PROCESS, 0, BOX_NICENESS); /* who answers requests comes before what is judged */
        prefer_for_oom();
        confine(options, command);
    }
    for (int fd = 0; fd < 3; ++fd) close(fd); /* readers of the command's output must see its end */
    return supervise(pid, ours, own);
}

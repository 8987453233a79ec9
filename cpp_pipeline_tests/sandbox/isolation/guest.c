/* What tests run in a box: one behaviour a word. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void use(size_t bytes) {
    char *block = malloc(bytes);
    if (!block) exit(7);
    memset(block, 1, bytes);
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    int number = argc > 2 ? atoi(argv[2]) : 0;
    if (!strcmp(what, "exit")) return number;
    if (!strcmp(what, "raise")) raise(number);
    if (!strcmp(what, "abort")) abort();
    if (!strcmp(what, "segv")) *(volatile int *)8 = 1;
    if (!strcmp(what, "spin")) { signal(SIGXCPU, SIG_IGN); for (;;) if (getppid() < 0) return 0; }
    if (!strcmp(what, "mute")) { close(1); close(2); pause(); }
    if (!strcmp(what, "use")) use((size_t)number << 20);
    if (!strcmp(what, "eat")) { /* each process stays far below its own limit */
        for (int i = 0; i < number; ++i)
            if (fork() == 0) { use(64 << 20); sleep(1); _exit(0); }
        while (wait(0) > 0) {}
    }
    if (!strcmp(what, "bomb")) for (;;) if (fork() < 0) usleep(1000);
    if (!strcmp(what, "orphan")) {
        if (fork() == 0) { setsid(); if (fork() == 0) for (;;) pause(); _exit(0); }
    }
    if (!strcmp(what, "deep")) /* a tree that recursion cannot follow, and a file without permissions in it */
        for (int i = 0; i < number; ++i)
            if (mkdir("d", 0700) || chdir("d") || close(open("f", O_CREAT | O_WRONLY, 0))) return 1;
    if (!strcmp(what, "file")) {
        signal(SIGXFSZ, SIG_IGN);
        static char block[1 << 20];
        int fd = open("file", O_CREAT | O_WRONLY, 0600), done = 0;
        while (done < number && write(fd, block, sizeof block) == (ssize_t)sizeof block) ++done;
        if (argc > 3 && done == number) sleep(1); /* long enough to be seen */
        printf("%d", done);
    }
    if (!strcmp(what, "err")) for (;;) if (fputs("0123456789", stderr) < 0) return 0;
    return 0;
}

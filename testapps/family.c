/* Children by fork, vfork and posix_spawn, each of which makes known system calls, and the parent
 * as well. Truth as in known.c, summed over the processes (each tells its own part). The child of
 * vfork makes calls before it becomes another program; "syscall-at-most" holds these too.
 * needs: known
 * build: -D_GNU_SOURCE */
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "truth.h"
long known_mov(void), known_libc(void);
enum { FORKS = 6, VFORKS = 5, SPAWNS = 4 };
static void work(long calls) {
    for (long i = 0; i < calls; i++) {
        known_mov();
        known_libc();
    }
    truth_line("syscall", "known_mov:getppid", calls);
    truth_line("syscall", "getppid:getppid", calls);
    truth_line("syscall-at-most", "known_mov:getppid", calls);
}
static long ended(pid_t child) {
    int status = -1;
    return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 7;
}
int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "child")) {
        work(50);
        return 7;
    }
    long fine = 0;
    char path[512] = {0};
    char *arguments[] = {argv[0], "child", 0};
    if (readlink("/proc/self/exe", path, sizeof path - 1) < 0) return 2;
    for (int i = 0; i < FORKS; i++) {
        pid_t child = fork();
        if (!child) {
            work(100);
            _exit(7);
        }
        fine += ended(child);
    }
    for (int i = 0; i < VFORKS; i++) {
        pid_t child = vfork();
        if (!child) {
            for (int k = 0; k < 10; k++) known_mov();
            execv(path, arguments);
            _exit(1);
        }
        truth_line("syscall-at-most", "known_mov:getppid", 10);
        fine += ended(child);
    }
    for (int i = 0; i < SPAWNS; i++) {
        pid_t child;
        if (!posix_spawn(&child, path, 0, 0, arguments, environ)) fine += ended(child);
    }
    work(1000);
    printf("fine %ld\n", fine);
    truth_line("syscall", "waitpid:wait4", FORKS + VFORKS + SPAWNS);
    return fine != FORKS + VFORKS + SPAWNS;
}

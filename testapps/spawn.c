/* Children in every way libc knows: vfork+exec, posix_spawn, system, popen, fork+exec; and a vfork
 * child that calls hooked functions before it execs.
 * needs: leaf
 * build: -D_GNU_SOURCE */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include "truth.h"
extern char **environ;
void leaf(void);
static int status_of(pid_t child) {
    int status = -1;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}
int main(void) {
    volatile int bad = 0;
    char *arguments[] = {"sh", "-c", "exit 3", 0};
    for (volatile int i = 0; i < 10; i++) {
        leaf();
        pid_t child = vfork();
        if (child == 0) {
            leaf();
            execve("/bin/sh", arguments, environ);
            _exit(9);
        }
        bad += status_of(child) != 3;
    }
    for (volatile int i = 0; i < 5; i++) {
        pid_t child = vfork();
        if (child == 0) _exit(4);
        bad += status_of(child) != 4;
    }
    for (int i = 0; i < 5; i++) {
        pid_t child;
        bad += posix_spawn(&child, "/bin/sh", 0, 0, arguments, environ) != 0;
        bad += status_of(child) != 3;
    }
    bad += WEXITSTATUS(system("exit 5")) != 5;
    FILE *pipe = popen("echo from a pipe", "r");
    char line[64] = "";
    bad += !fgets(line, sizeof line, pipe);
    bad += pclose(pipe) != 0;
    fputs(line, stdout);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        execlp("sh", "sh", "-c", "exit 6", (char *)0);
        _exit(9);
    }
    bad += status_of(child) != 6;
    truth_calls("leaf", 20);
    truth_calls("vfork", 15);
    truth_calls("posix_spawn", 5);
    truth_calls("system", 1);
    truth_calls("popen", 1);
    truth_calls("fork", 1);
    truth_calls("waitpid", 21);
    printf("bad %d\n", bad);
    return 0;
}

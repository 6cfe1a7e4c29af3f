/* A tree of forks in which every process goes on calling; some forks come from threads.
 * needs: leaf
 * build: -pthread */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include "truth.h"
void leaf(void);
static void calls(long count) {
    for (long i = 0; i < count; i++) leaf();
    truth_calls("leaf", count);
}
static void *fork_here(void *number) {
    calls(1000);
    pid_t child = fork();
    if (child == 0) {
        calls(2000 + (long)number);
        if ((long)number % 2) _exit(0);
        exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    calls(500);
    return (void *)(long)status;
}
int main(void) {
    calls(100);
    pid_t child = fork();
    if (child == 0) {
        calls(3000);
        pid_t grandchild = fork();
        if (grandchild == 0) {
            calls(4000);
            return 0;
        }
        waitpid(grandchild, 0, 0);
        calls(5);
        return 0;
    }
    waitpid(child, 0, 0);
    pthread_t threads[4];
    long bad = 0;
    for (long i = 0; i < 4; i++) pthread_create(&threads[i], 0, fork_here, (void *)i);
    for (int i = 0; i < 4; i++) {
        void *status;
        pthread_join(threads[i], &status);
        bad += (long)status;
    }
    calls(7);
    truth_line("processes", "all", 7);
    printf("bad %ld\n", bad);
    return 0;
}

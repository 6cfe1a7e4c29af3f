/* A handler that leaves by siglongjmp while it interrupts a blocked read: the read never returns,
 * and what the thread does afterwards is not done inside of it. Truth as in known.c; the reads
 * that were left are counted or not ("syscall-at-most").
 * build: -pthread -D_GNU_SOURCE */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
#include "asleep.h"
#include "truth.h"
enum { ROUNDS = 300 };
static sigjmp_buf out;
static volatile int tid, done;
static volatile long left;
static void jump(int number) {
    (void)number;
    siglongjmp(out, 1);
}
static void *reader(void *pipe_end) {
    int fd = *(int *)pipe_end;
    char byte;
    for (volatile int i = 0; i < ROUNDS; i++) {
        if (sigsetjmp(out, 1)) {
            tid = 0;
            left++;
        } else {
            tid = truth_tid();
            (void)!read(fd, &byte, 1);
        }
        if (left > i) continue;
        i--;
    }
    for (int i = 0; i < 100; i++) left += getppid() <= 0;
    done = 1;
    return 0;
}
int main(void) {
    struct sigaction action = {0};
    action.sa_handler = jump;
    sigaction(SIGUSR1, &action, 0);
    int ends[2];
    pthread_t thread;
    if (pipe(ends)) return 2;
    pthread_create(&thread, 0, reader, &ends[0]);
    for (int i = 0; i < ROUNDS; i++) {
        until_asleep(&tid);
        pthread_kill(thread, SIGUSR1);
        while (left <= i) truth_syscall(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
    }
    pthread_join(thread, 0);
    printf("left %ld done %d\n", left, done);
    truth_line("syscall", "getppid:getppid", 100);
    truth_line("syscall-at-most", "read:read", ROUNDS);
    return left != ROUNDS;
}

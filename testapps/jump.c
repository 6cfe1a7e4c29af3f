/* longjmp and siglongjmp over frames of hooked calls, from the main thread, from others and out
 * of a signal handler.
 * needs: runback leaf
 * build: -pthread */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include "truth.h"
void run_back(void (*)(void *), void *);
void leaf(void);
enum { ROUNDS = 20000 };
static long runs, leaves;
static _Thread_local jmp_buf here;
static _Thread_local sigjmp_buf signal_here;
static void away(void *unused) {
    (void)unused;
    longjmp(here, 7);
}
static void deep(void *levels) {
    long left = (long)levels;
    __atomic_add_fetch(&runs, 1, __ATOMIC_RELAXED);
    if (left)
        run_back(deep, (void *)(left - 1));
    else
        run_back(away, 0);
}
static void *jumper(void *unused) {
    for (volatile int i = 0; i < ROUNDS; i++) {
        if (setjmp(here) == 0) {
            __atomic_add_fetch(&runs, 1, __ATOMIC_RELAXED);
            run_back(deep, (void *)(long)(i % 4));
        }
        leaf();
        __atomic_add_fetch(&leaves, 1, __ATOMIC_RELAXED);
    }
    return unused;
}
static void handler(int number) { siglongjmp(signal_here, number); }
static void raise_it(void *unused) {
    (void)unused;
    raise(SIGUSR1);
}
int main(void) {
    jumper(0);
    pthread_t other;
    pthread_create(&other, 0, jumper, 0);
    jumper(0);
    pthread_join(other, 0);
    signal(SIGUSR1, handler);
    volatile long back = 0;
    for (volatile int i = 0; i < 2000; i++) {
        if (sigsetjmp(signal_here, 1) == 0) {
            runs++;
            run_back(raise_it, 0);
        } else {
            back++;
        }
    }
    truth_calls("run_back", runs);
    truth_calls("leaf", leaves);
    printf("back %ld\n", back);
    return 0;
}

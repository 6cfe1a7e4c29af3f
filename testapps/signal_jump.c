/* A timer's handler leaves by siglongjmp from wherever the thread is, which is mostly around the
 * calls of an empty library function: nothing that was half done there may stay half done.
 * needs: leaf
 * build: -D_GNU_SOURCE */
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include "truth.h"
void leaf(void);
static sigjmp_buf back;
static volatile sig_atomic_t armed;
static volatile long jumps;
static void tick(int number) {
    (void)number;
    if (!armed) return;
    armed = 0;
    siglongjmp(back, 1);
}
int main(void) {
    struct truth_counters *counters = truth_map();
    struct sigaction action = {0};
    action.sa_handler = tick;
    sigaction(SIGUSR1, &action, 0);
    timer_t timer;
    struct sigevent event = {0};
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGUSR1;
    timer_create(CLOCK_MONOTONIC, &event, &timer);
    struct itimerspec every = {{0, 150000}, {0, 150000}};
    timer_settime(timer, 0, &every, 0);
    if (sigsetjmp(back, 1)) jumps++;
    while (jumps < 1500) {
        armed = 1;
        for (int i = 0; i < 1000000; i++) {
            counters->begun++;
            leaf();
            counters->done++;
        }
    }
    timer_delete(timer);
    for (int i = 0; i < 100000; i++) {
        counters->begun++;
        leaf();
        counters->done++;
    }
    truth_line("at-most", "leaf", counters->begun);
    truth_line("at-least", "leaf", counters->done);
    puts("done");
    return 0;
}

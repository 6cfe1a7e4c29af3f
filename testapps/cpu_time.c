/* Its library computes before anyone can watch, then it does for 5 ms itself, and in the end there
 * are eight threads that live and compute for some 3 ms each while the process exits.
 * build: -pthread
 * needs: early */
#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include "truth.h"
void early(void);
static pthread_barrier_t all;
static long long cpu(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}
static void *computes(void *unused) {
    pthread_barrier_wait(&all);
    for (;;) early();
    return unused;
}
int main(void) {
    long long begin = cpu();
    early();
    while (cpu() - begin < 5000000) {
    }
    pthread_barrier_init(&all, 0, 9);
    for (int i = 0; i < 8; i++) {
        pthread_t id;
        if (pthread_create(&id, 0, computes, 0)) return 3;
    }
    pthread_barrier_wait(&all);
    struct timespec pause = {0, 25000000};
    nanosleep(&pause, 0);
    printf("computed\n");
    truth_line("used", "main", (unsigned long long)(cpu() - begin));
    return 0;
}

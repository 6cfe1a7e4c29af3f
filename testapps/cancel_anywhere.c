/* Asynchronous cancellation of threads that do nothing but call an empty library function: it
 * strikes at any instruction, and every cleanup handler must still run.
 * needs: leaf runback
 * build: -pthread -fexceptions -fasynchronous-unwind-tables -fnon-call-exceptions */
#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include "truth.h"
void leaf(void);
void run_back(void (*)(void *), void *);
static int cleaned;
static volatile int running;
static void cleanup(void *unused) {
    (void)unused;
    __atomic_add_fetch(&cleaned, 1, __ATOMIC_RELAXED);
}
static void call(void *unused) {
    (void)unused;
    for (;;) {
        leaf();
        running = 1;
    }
}
static void *victim(void *unused) {
    pthread_cleanup_push(cleanup, 0);
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, 0);
    run_back(call, 0);
    pthread_cleanup_pop(1);
    return unused;
}
int main(void) {
    long cancelled = 0;
    for (int i = 0; i < 200; i++) {
        pthread_t thread;
        void *result;
        running = 0;
        pthread_create(&thread, 0, victim, 0);
        while (!running) {}
        struct timespec moment = {0, 100000 + i * 37};
        nanosleep(&moment, 0);
        pthread_cancel(thread);
        pthread_join(thread, &result);
        cancelled += result == PTHREAD_CANCELED;
    }
    truth_calls("run_back", 200);
    truth_calls("pthread_cancel", 200);
    printf("cancelled %ld cleaned %d\n", cancelled, cleaned);
    return 0;
}

/* pthread_cancel, deferred and asynchronous, and pthread_exit, inside hooked calls, with cleanup
 * handlers that call hooked functions themselves.
 * needs: runback leaf
 * build: -pthread -fexceptions -D_GNU_SOURCE */
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <unistd.h>
#include "truth.h"
void run_back(void (*)(void *), void *);
void leaf(void);
static sem_t ready;
static int cleaned, leaves;
static void cleanup(void *unused) {
    (void)unused;
    leaf();
    __atomic_add_fetch(&leaves, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&cleaned, 1, __ATOMIC_RELAXED);
}
static void block(void *unused) {
    (void)unused;
    pthread_cleanup_push(cleanup, 0);
    sem_post(&ready);
    for (;;) pause();
    pthread_cleanup_pop(1);
}
static void *deferred(void *unused) {
    pthread_cleanup_push(cleanup, 0);
    run_back(block, 0);
    pthread_cleanup_pop(1);
    return unused;
}
static void spin(void *unused) {
    (void)unused;
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, 0);
    sem_post(&ready);
    for (volatile long i = 0;; i++) {}
}
static void *asynchronous(void *unused) {
    pthread_cleanup_push(cleanup, 0);
    run_back(spin, 0);
    pthread_cleanup_pop(1);
    return unused;
}
static void leave(void *unused) {
    (void)unused;
    pthread_exit((void *)77);
}
static void *leaver(void *unused) {
    pthread_cleanup_push(cleanup, 0);
    run_back(leave, 0);
    pthread_cleanup_pop(1);
    return unused;
}
static void *condition(void *unused) {
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t never = PTHREAD_COND_INITIALIZER;
    pthread_cleanup_push(cleanup, 0);
    pthread_mutex_lock(&lock);
    sem_post(&ready);
    for (;;) pthread_cond_wait(&never, &lock);
    pthread_cleanup_pop(1);
    return unused;
}
int main(void) {
    enum { ROUNDS = 50 };
    long cancelled = 0, left = 0;
    sem_init(&ready, 0, 0);
    void *(*const victims[])(void *) = {deferred, asynchronous, condition};
    for (int i = 0; i < ROUNDS * 3; i++) {
        pthread_t thread;
        void *result;
        pthread_create(&thread, 0, victims[i % 3], 0);
        sem_wait(&ready);
        pthread_cancel(thread);
        pthread_join(thread, &result);
        cancelled += result == PTHREAD_CANCELED;
    }
    for (int i = 0; i < ROUNDS; i++) {
        pthread_t thread;
        void *result;
        pthread_create(&thread, 0, leaver, 0);
        pthread_join(thread, &result);
        left += (long)result == 77;
    }
    truth_calls("pthread_cancel", ROUNDS * 3);
    truth_calls("pthread_exit", ROUNDS);
    truth_calls("run_back", ROUNDS * 3);
    truth_calls("leaf", leaves);
    printf("cancelled %ld left %ld cleaned %d\n", cancelled, left, cleaned);
    return 0;
}

/* A coroutine that is suspended inside a hooked call on one thread and resumed on another, again
 * and again: what was entered there returns here.
 * needs: runback leaf
 * build: -pthread */
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>
#include "truth.h"
void run_back(void (*)(void *), void *);
void leaf(void);
enum { THREADS = 3, TURNS = 3000 };
static ucontext_t coroutine, *volatile resumer;
static sem_t turn[THREADS];
static volatile int ended;
static long leaves;
__attribute__((noinline)) static void yield(void *unused) {
    (void)unused;
    leaf();
    leaves++;
    swapcontext(&coroutine, resumer);
}
static void body(void) {
    for (int i = 0; i < TURNS; i++) run_back(yield, 0);
    ended = 1;
    swapcontext(&coroutine, resumer);
}
static void *resume(void *number) {
    long me = (long)number;
    ucontext_t own;
    for (;;) {
        sem_wait(&turn[me]);
        if (ended) break;
        resumer = &own;
        swapcontext(&own, &coroutine);
        sem_post(&turn[(me + 1) % THREADS]);
        if (ended) break;
    }
    sem_post(&turn[(me + 1) % THREADS]);
    return 0;
}
int main(void) {
    pthread_t threads[THREADS];
    getcontext(&coroutine);
    coroutine.uc_stack.ss_sp = malloc(64 << 10);
    coroutine.uc_stack.ss_size = 64 << 10;
    makecontext(&coroutine, body, 0);
    for (int i = 0; i < THREADS; i++) sem_init(&turn[i], 0, i == 0);
    for (long i = 0; i < THREADS; i++) pthread_create(&threads[i], 0, resume, (void *)i);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], 0);
    truth_calls("run_back", TURNS);
    truth_calls("leaf", TURNS);
    printf("leaves %ld\n", leaves);
    return 0;
}

/* Threads of C, C++ and Rust side by side: a C group with one straggler that works eight times as
 * long as the rest, a C group that convoys behind one lock holder, three C++ groups, a Rust group.
 * needs: cxxthreads rustthreads leaf work
 * build: -pthread */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>
#include "truth.h"
uint64_t work(uint64_t);
long leaf_add(long, long);
void cxx_threads(long);
void rust_threads(long);
enum { WORKERS = 4, ROUNDS = 10, CLIENTS = 3 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t begin, held;
void *c_worker(void *straggles) {
    long calls = straggles ? 4000 : 500;
    if (straggles) truth_line("straggler", "c_worker", truth_tid());
    for (long i = 0; i < calls; i++) work(100000);
    return 0;
}
void *lock_holder(void *unused) {
    truth_line("holder", "lock_holder", truth_tid());
    truth_line("lock", "convoy", (unsigned long)&lock);
    for (int i = 0; i < ROUNDS; i++) {
        pthread_barrier_wait(&begin);
        pthread_mutex_lock(&lock);
        pthread_barrier_wait(&held);
        usleep(20000);
        pthread_mutex_unlock(&lock);
    }
    return unused;
}
void *lock_client(void *unused) {
    for (int i = 0; i < ROUNDS; i++) {
        pthread_barrier_wait(&begin);
        pthread_barrier_wait(&held);
        pthread_mutex_lock(&lock);
        pthread_mutex_unlock(&lock);
    }
    return unused;
}
int main(void) {
    pthread_t workers[WORKERS], clients[CLIENTS], holder;
    pthread_barrier_init(&begin, 0, CLIENTS + 1);
    pthread_barrier_init(&held, 0, CLIENTS + 1);
    for (int i = 0; i < WORKERS; i++)
        pthread_create(&workers[i], 0, c_worker, i == 2 ? &begin : 0);
    for (int i = 0; i < WORKERS; i++) pthread_join(workers[i], 0);
    pthread_create(&holder, 0, lock_holder, 0);
    for (int i = 0; i < CLIENTS; i++) pthread_create(&clients[i], 0, lock_client, 0);
    for (int i = 0; i < CLIENTS; i++) pthread_join(clients[i], 0);
    pthread_join(holder, 0);
    cxx_threads(5000);
    rust_threads(5000);
    truth_calls("work", 4000 + 3 * 500);
    truth_calls("pthread_mutex_lock", (CLIENTS + 1) * ROUNDS);
    truth_line("inner", "libcxxthreads.so:leaf_add", 6 * 5000);
    truth_line("inner", "librustthreads.so:leaf_add", 3 * 5000);
    puts("done");
    return 0;
}

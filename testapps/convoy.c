/* A lock convoy: one thread holds a mutex for long, three others queue up behind it.
 * Truth: the holder's tid and the lock's address.
 * build: -pthread */
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
#include "truth.h"
enum { WAITERS = 3, ROUNDS = 12 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t round_begin, round_held;
static long turns;
void *hog(void *unused) {
    (void)unused;
    truth_line("holder", "hog", truth_tid());
    truth_line("lock", "convoy", (unsigned long)&lock);
    for (int i = 0; i < ROUNDS; i++) {
        pthread_barrier_wait(&round_begin);
        pthread_mutex_lock(&lock);
        pthread_barrier_wait(&round_held);
        usleep(15000);
        pthread_mutex_unlock(&lock);
    }
    return 0;
}
void *queue(void *unused) {
    (void)unused;
    for (int i = 0; i < ROUNDS; i++) {
        pthread_barrier_wait(&round_begin);
        pthread_barrier_wait(&round_held);
        pthread_mutex_lock(&lock);
        turns++;
        pthread_mutex_unlock(&lock);
    }
    return 0;
}
int main(void) {
    pthread_t threads[WAITERS + 1];
    pthread_barrier_init(&round_begin, 0, WAITERS + 1);
    pthread_barrier_init(&round_held, 0, WAITERS + 1);
    pthread_create(&threads[0], 0, hog, 0);
    for (int i = 1; i <= WAITERS; i++) pthread_create(&threads[i], 0, queue, 0);
    for (int i = 0; i <= WAITERS; i++) pthread_join(threads[i], 0);
    truth_calls("pthread_mutex_lock", (WAITERS + 1) * ROUNDS);
    truth_calls("pthread_mutex_unlock", (WAITERS + 1) * ROUNDS);
    truth_calls("pthread_barrier_wait", 2 * (WAITERS + 1) * ROUNDS);
    truth_calls("pthread_create", WAITERS + 1);
    truth_calls("pthread_join", WAITERS + 1);
    truth_calls("usleep", ROUNDS);
    printf("turns %ld\n", turns);
    return 0;
}

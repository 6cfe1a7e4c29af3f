/* C11 threads: thrd_create, mtx_lock, cnd_wait, thrd_join.
 * build: -std=gnu11 -pthread */
#include <stdio.h>
#include <threads.h>
#include "truth.h"
enum { THREADS = 4, ROUNDS = 5000 };
static mtx_t lock;
static long sum;
static int c11_start(void *number) {
    for (int i = 0; i < ROUNDS; i++) {
        mtx_lock(&lock);
        sum += *(int *)number;
        mtx_unlock(&lock);
    }
    return *(int *)number;
}
int main(void) {
    thrd_t threads[THREADS];
    int numbers[THREADS], results = 0;
    mtx_init(&lock, mtx_plain);
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i + 1;
        thrd_create(&threads[i], c11_start, &numbers[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        int result;
        thrd_join(threads[i], &result);
        results += result;
    }
    truth_calls("mtx_lock", THREADS * ROUNDS);
    truth_calls("mtx_unlock", THREADS * ROUNDS);
    truth_calls("thrd_create", THREADS);
    truth_calls("thrd_join", THREADS);
    printf("sum %ld results %d\n", sum, results);
    return 0;
}

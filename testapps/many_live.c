/* 5 000 threads (or argv[1]) alive at the same time, each calling the library a known number of
 * times; all wait for one another before they end.
 * build: -pthread
 * needs: leaf */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include "truth.h"
void leaf(void);
static pthread_barrier_t all_live;
static void *live(void *number) {
    for (long i = 0; i < 10 + (long)number % 7; i++) leaf();
    pthread_barrier_wait(&all_live);
    leaf();
    return 0;
}
int main(int argc, char **argv) {
    long threads = argc > 1 ? atol(argv[1]) : 5000, calls = 0;
    pthread_t *ids = malloc(threads * sizeof *ids);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 << 10);
    pthread_barrier_init(&all_live, 0, threads + 1);
    for (long i = 0; i < threads; i++) {
        calls += 11 + i % 7;
        if (pthread_create(&ids[i], &attributes, live, (void *)i)) return 3;
    }
    pthread_barrier_wait(&all_live);
    for (long i = 0; i < threads; i++) pthread_join(ids[i], 0);
    truth_calls("leaf", calls);
    truth_calls("pthread_create", threads);
    truth_calls("pthread_join", threads);
    truth_calls("pthread_barrier_wait", threads + 1);
    printf("threads %ld\n", threads);
    return 0;
}

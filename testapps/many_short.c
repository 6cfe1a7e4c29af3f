/* 200 000 threads (or argv[1]) one after the other, each calling the library a few times.
 * build: -pthread
 * needs: leaf */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include "truth.h"
void leaf(void);
long leaf_add(long, long);
static void *brief(void *number) {
    leaf();
    return (void *)leaf_add((long)number, 1);
}
int main(int argc, char **argv) {
    long threads = argc > 1 ? atol(argv[1]) : 200000, sum = 0;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 << 10);
    for (long i = 0; i < threads; i++) {
        pthread_t id;
        void *result;
        if (pthread_create(&id, &attributes, brief, (void *)i)) return 3;
        pthread_join(id, &result);
        sum += (long)result;
    }
    truth_calls("leaf", threads);
    truth_calls("leaf_add", threads);
    truth_calls("pthread_create", threads);
    truth_calls("pthread_join", threads);
    printf("sum %ld\n", sum);
    return 0;
}

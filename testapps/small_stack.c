/* Threads with the smallest stacks libc allows call hooked functions of every kind.
 * needs: leaf
 * build: -pthread -D_GNU_SOURCE */
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include "truth.h"
void leaf(void);
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long sum;
static void *small(void *unused) {
    for (int i = 0; i < 2000; i++) {
        leaf();
        free(malloc(100));
        pthread_mutex_lock(&lock);
        sum++;
        pthread_mutex_unlock(&lock);
    }
    return unused;
}
int main(void) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    int set = pthread_attr_setstacksize(&attributes, PTHREAD_STACK_MIN);
    pthread_t threads[8];
    int bad = 0;
    for (int i = 0; i < 8; i++) bad += pthread_create(&threads[i], &attributes, small, 0) != 0;
    for (int i = 0; i < 8; i++) pthread_join(threads[i], 0);
    truth_calls("leaf", 16000);
    truth_calls("pthread_mutex_lock", 16000);
    printf("set %d bad %d sum %ld\n", set, bad, sum);
    return 0;
}

/* Readers and writers of one read-write lock, with a writer that holds it for long.
 * build: -pthread */
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
#include "truth.h"
enum { READERS = 3, READS = 2000, WRITES = 10 };
static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static int value;
static void *reader(void *unused) {
    for (int i = 0; i < READS; i++) {
        pthread_rwlock_rdlock(&lock);
        if (value < 0) puts("never");
        pthread_rwlock_unlock(&lock);
    }
    return unused;
}
static void *writer(void *unused) {
    for (int i = 0; i < WRITES; i++) {
        pthread_rwlock_wrlock(&lock);
        usleep(5000);
        value++;
        pthread_rwlock_unlock(&lock);
    }
    return unused;
}
int main(void) {
    pthread_t threads[READERS + 1];
    pthread_create(&threads[0], 0, writer, 0);
    for (int i = 1; i <= READERS; i++) pthread_create(&threads[i], 0, reader, 0);
    for (int i = 0; i <= READERS; i++) pthread_join(threads[i], 0);
    truth_calls("pthread_rwlock_rdlock", READERS * READS);
    truth_calls("pthread_rwlock_wrlock", WRITES);
    truth_calls("pthread_rwlock_unlock", READERS * READS + WRITES);
    printf("value %d\n", value);
    return 0;
}

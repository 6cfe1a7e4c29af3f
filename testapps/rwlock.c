/* Readers and writers of one read-write lock. The writer holds it when the readers come, and for
 * 30 ms after the last of them said that it goes for the lock.
 * build: -pthread */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>
#include "truth.h"
enum { READERS = 3, READS = 2000, WRITES = 10 };
static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static int value;
static atomic_int held, coming;
static void *reader(void *unused) {
    while (!held) usleep(100);
    coming++;
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
        held = 1;
        while (coming < READERS) usleep(100);
        usleep(i ? 5000 : 30000);
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

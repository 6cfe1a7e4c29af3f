/* Joins threads that take a while, a detached one, and one by pthread_tryjoin_np.
 * build: -pthread -D_GNU_SOURCE */
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <unistd.h>
#include "truth.h"
static sem_t ended, go;
static void *sleeper(void *how_long) {
    sem_wait(&go);
    usleep((unsigned)(long)how_long);
    return (void *)((long)how_long + 1);
}
static void *detached(void *unused) {
    sem_post(&ended);
    return unused;
}
int main(void) {
    pthread_t threads[4];
    long sum = 0, tries = 0;
    sem_init(&ended, 0, 0);
    sem_init(&go, 0, 0);
    for (long i = 0; i < 4; i++) pthread_create(&threads[i], 0, sleeper, (void *)(i * 20000));
    for (int i = 0; i < 4; i++) sem_post(&go);
    for (int i = 0; i < 3; i++) {
        void *result;
        pthread_join(threads[i], &result);
        sum += (long)result;
    }
    void *last;
    do {
        tries++;
        usleep(1000);
    } while (pthread_tryjoin_np(threads[3], &last) != 0);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_t ghost;
    pthread_create(&ghost, &attributes, detached, 0);
    sem_wait(&ended);
    truth_calls("pthread_join", 3);
    truth_calls("pthread_tryjoin_np", tries);
    truth_calls("pthread_create", 5);
    printf("sum %ld last %ld\n", sum, (long)last);
    return 0;
}

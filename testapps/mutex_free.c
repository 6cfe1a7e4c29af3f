/* Locks and unlocks a mutex that nobody else wants.
 * build: -pthread */
#include <pthread.h>
#include <stdio.h>
#include "truth.h"
int main(void) {
    enum { CALLS = 300000 };
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    long sum = 0;
    for (int i = 0; i < CALLS; i++) {
        pthread_mutex_lock(&lock);
        sum += i;
        pthread_mutex_unlock(&lock);
    }
    truth_calls("pthread_mutex_lock", CALLS);
    truth_calls("pthread_mutex_unlock", CALLS);
    printf("sum %ld\n", sum);
    return 0;
}

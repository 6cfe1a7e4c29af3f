/* Four threads meet at a barrier again and again; one of them comes late each time.
 * build: -pthread */
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
#include "truth.h"
enum { THREADS = 4, ROUNDS = 40 };
static pthread_barrier_t meet;
static int serial;
static void *runner(void *late) {
    for (int i = 0; i < ROUNDS; i++) {
        if (late) usleep(2000);
        if (pthread_barrier_wait(&meet) == PTHREAD_BARRIER_SERIAL_THREAD)
            __atomic_add_fetch(&serial, 1, __ATOMIC_RELAXED);
    }
    return 0;
}
int main(void) {
    pthread_t threads[THREADS];
    pthread_barrier_init(&meet, 0, THREADS);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], 0, runner, i == 0 ? &meet : 0);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], 0);
    pthread_barrier_destroy(&meet);
    truth_calls("pthread_barrier_wait", THREADS * ROUNDS);
    truth_calls("usleep", ROUNDS);
    truth_calls("pthread_barrier_destroy", 1);
    printf("serial %d\n", serial);
    return 0;
}

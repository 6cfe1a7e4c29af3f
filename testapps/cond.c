/* Two threads hand a turn back and forth through a condition variable; some waits time out.
 * build: -pthread */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include "truth.h"
enum { TURNS = 2000, TIMEOUTS = 5 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turned = PTHREAD_COND_INITIALIZER;
static int turn;
static long waits, signals;
static void *player(void *side) {
    for (int i = 0; i < TURNS; i++) {
        pthread_mutex_lock(&lock);
        while (turn != (side != 0)) {
            waits++;
            pthread_cond_wait(&turned, &lock);
        }
        turn = !turn;
        signals++;
        pthread_cond_signal(&turned);
        pthread_mutex_unlock(&lock);
    }
    return 0;
}
int main(void) {
    pthread_t other;
    pthread_create(&other, 0, player, &lock);
    player(0);
    pthread_join(other, 0);
    int expired = 0;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < TIMEOUTS; i++) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 5000000;
        if (until.tv_nsec >= 1000000000) until.tv_nsec -= 1000000000, until.tv_sec++;
        if (pthread_cond_timedwait(&turned, &lock, &until) == ETIMEDOUT) expired++;
    }
    pthread_mutex_unlock(&lock);
    truth_calls("pthread_cond_wait", waits);
    truth_calls("pthread_cond_signal", signals);
    truth_calls("pthread_cond_timedwait", TIMEOUTS);
    truth_calls("pthread_mutex_lock", 2 * TURNS + 1);
    printf("turn %d expired %d\n", turn, expired);
    return 0;
}

/* A producer posts a semaphore, two consumers wait for it; one wait is interrupted by a signal.
 * build: -pthread */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>
#include "truth.h"
enum { CONSUMERS = 2, ITEMS = 3000 };
static sem_t items, never;
static void *consumer(void *unused) {
    for (int i = 0; i < ITEMS; i++) sem_wait(&items);
    return unused;
}
static void wake(int signal_number) { (void)signal_number; }
int main(void) {
    pthread_t threads[CONSUMERS];
    sem_init(&items, 0, 0);
    sem_init(&never, 0, 0);
    struct sigaction action = {0};
    action.sa_handler = wake;
    sigaction(SIGALRM, &action, 0);
    struct itimerval once = {{0, 0}, {0, 20000}};
    setitimer(ITIMER_REAL, &once, 0);
    int result = sem_wait(&never), error = errno;
    for (int i = 0; i < CONSUMERS; i++) pthread_create(&threads[i], 0, consumer, 0);
    for (int i = 0; i < CONSUMERS * ITEMS; i++) sem_post(&items);
    for (int i = 0; i < CONSUMERS; i++) pthread_join(threads[i], 0);
    truth_calls("sem_wait", CONSUMERS * ITEMS + 1);
    truth_calls("sem_post", CONSUMERS * ITEMS);
    printf("interrupted %d %d\n", result, error == EINTR);
    return 0;
}

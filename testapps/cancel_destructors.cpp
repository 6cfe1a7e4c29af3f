// Cancellation and pthread_exit run the destructors of every frame, across hooked calls.
// needs: runback
// build: -pthread
#include <cstdio>
#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>
#include "truth.h"
extern "C" void run_back(void (*)(void *), void *);
static sem_t ready;
static long destroyed;
struct Guard {
    ~Guard() { __atomic_add_fetch(&destroyed, 1, __ATOMIC_RELAXED); }
};
static void block(void *) {
    Guard guard;
    sem_post(&ready);
    for (;;) usleep(100000);
}
static void leave(void *) {
    Guard guard;
    pthread_exit(nullptr);
}
static void nested(void *inner) {
    Guard guard;
    run_back(inner ? block : leave, nullptr);
}
static void *start(void *inner) {
    Guard guard;
    run_back(nested, inner);
    return nullptr;
}
int main() {
    long cancelled = 0;
    sem_init(&ready, 0, 0);
    for (int i = 0; i < 100; i++) {
        pthread_t thread;
        void *result;
        pthread_create(&thread, nullptr, start, i % 2 ? &ready : nullptr);
        if (i % 2) {
            sem_wait(&ready);
            pthread_cancel(thread);
        }
        pthread_join(thread, &result);
        cancelled += result == PTHREAD_CANCELED;
    }
    truth_calls("run_back", 200);
    truth_calls("pthread_cancel", 50);
    std::printf("cancelled %ld destroyed %ld\n", cancelled, destroyed);
    return 0;
}

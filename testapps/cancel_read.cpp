/* pthread_cancel of threads that are blocked in read: handlers run, destructors run, and both may
 * read and write themselves. Truth as in known.c; the reads that were cancelled are counted or not
 * ("syscall-at-most").
 * build: -pthread -D_GNU_SOURCE */
#include <atomic>
#include <cstdio>
#include <pthread.h>
#include <unistd.h>
#include "asleep.h"
#include "truth.h"
enum { ROUNDS = 120 };
static int wait_for[2], echo[2];
static volatile int tid;
static std::atomic<int> cleaned, destroyed, wrong;
static void talk() {
    char byte = 'x', back = 0;
    if (write(echo[1], &byte, 1) != 1 || read(echo[0], &back, 1) != 1 || back != 'x') wrong++;
}
struct Guard {
    ~Guard() {
        talk();
        destroyed++;
    }
};
static void clean(void *) {
    talk();
    cleaned++;
}
__attribute__((noinline)) static void block(int depth) {
    Guard guard;
    if (depth) return block(depth - 1);
    char byte;
    tid = truth_tid();
    for (volatile bool always = true; always;)
        if (read(wait_for[0], &byte, 1) >= 0) wrong++;
}
static void *victim(void *) {
    pthread_cleanup_push(clean, nullptr);
    block(3);
    pthread_cleanup_pop(0);
    return nullptr;
}
int main() {
    if (pipe(wait_for) || pipe(echo)) return 2;
    int cancelled = 0;
    for (int i = 0; i < ROUNDS; i++) {
        pthread_t thread;
        void *result;
        tid = 0;
        pthread_create(&thread, nullptr, victim, nullptr);
        until_asleep(&tid);
        pthread_cancel(thread);
        pthread_join(thread, &result);
        cancelled += result == PTHREAD_CANCELED;
    }
    std::printf("cancelled %d cleaned %d destroyed %d wrong %d\n", cancelled, cleaned.load(),
                destroyed.load(), wrong.load());
    truth_line("syscall", "write:write", 5 * ROUNDS);
    truth_line("syscall-at-least", "read:read", 5 * ROUNDS);
    truth_line("syscall-at-most", "read:read", 6 * ROUNDS);
    return wrong != 0 || cancelled != ROUNDS;
}

/* Two threads hand a turn to each other by futex(2) at an address that is told, and one thread
 * waits with a time limit until it is over. Truth: "futex ADDRESS:OPERATION N" (the address in
 * digits), "futex-failed" likewise.
 * build: -pthread -D_GNU_SOURCE */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
#include "truth.h"
enum { TURNS = 500 };
static unsigned turn, never;
static long waits, wakes, failed;
static long futex(unsigned *word, int operation, unsigned value, struct timespec *limit) {
    return syscall(SYS_futex, word, operation | FUTEX_PRIVATE_FLAG, value, limit, 0, 0);
}
static void *player(void *side) {
    unsigned own = side != 0;
    for (int i = 0; i < TURNS; i++) {
        unsigned seen;
        while ((seen = __atomic_load_n(&turn, __ATOMIC_SEQ_CST)) % 2 != own) {
            __atomic_add_fetch(&waits, 1, __ATOMIC_RELAXED);
            if (futex(&turn, FUTEX_WAIT, seen, 0)) __atomic_add_fetch(&failed, 1, __ATOMIC_RELAXED);
        }
        __atomic_add_fetch(&turn, 1, __ATOMIC_SEQ_CST);
        __atomic_add_fetch(&wakes, 1, __ATOMIC_RELAXED);
        futex(&turn, FUTEX_WAKE, 1, 0);
    }
    return 0;
}
static void tell(const char *kind, unsigned *word, const char *operation, long value) {
    char key[64];
    snprintf(key, sizeof key, "%lu:%s", (unsigned long)(uintptr_t)word, operation);
    truth_line(kind, key, value);
}
int main(void) {
    pthread_t other;
    long wrong = 0;
    pthread_create(&other, 0, player, (void *)1);
    player(0);
    pthread_join(other, 0);
    for (int i = 0; i < 25; i++) {
        struct timespec limit = {0, 200000};
        wrong += futex(&never, FUTEX_WAIT, 0, &limit) != -1 || errno != ETIMEDOUT;
    }
    printf("turns %u wrong %ld\n", turn, wrong);
    tell("futex", &turn, "wait", waits);
    tell("futex-failed", &turn, "wait", failed);
    tell("futex", &turn, "wake", wakes);
    tell("futex", &never, "wait", 25);
    tell("futex-failed", &never, "wait", 25);
    return wrong != 0;
}

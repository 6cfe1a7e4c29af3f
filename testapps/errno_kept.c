/* errno, the signal mask, the floating-point mode and the direction of rounding are the program's:
 * hooked calls leave them as they were.
 * needs: leaf
 * build: -pthread -D_GNU_SOURCE -frounding-math
 * link: -lm */
#include <errno.h>
#include <fcntl.h>
#include <fenv.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
#include "truth.h"
void leaf(void);
enum { ROUNDS = 20000 };
static void *check(void *unused) {
    long bad = 0;
    (void)unused;
    sigset_t mask, now;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR2);
    pthread_sigmask(SIG_SETMASK, &mask, 0);
    fesetround(FE_UPWARD);
    for (int i = 0; i < ROUNDS; i++) {
        errno = i + 1;
        leaf();
        bad += errno != i + 1;
        if (i % 100 == 0) {
            bad += open("/no/such/file", O_RDONLY) != -1 || errno != ENOENT;
            bad += close(-1) != -1 || errno != EBADF;
        }
    }
    bad += fegetround() != FE_UPWARD;
    pthread_sigmask(SIG_SETMASK, 0, &now);
    bad += !sigismember(&now, SIGUSR2) || sigismember(&now, SIGUSR1);
    return (void *)bad;
}
int main(void) {
    pthread_t thread;
    void *other;
    pthread_create(&thread, 0, check, 0);
    long bad = (long)check(0);
    pthread_join(thread, &other);
    truth_calls("leaf", 2 * ROUNDS);
    truth_calls("open", 2 * ROUNDS / 100);
    truth_calls("close", 2 * ROUNDS / 100);
    printf("bad %ld\n", bad + (long)other);
    return 0;
}

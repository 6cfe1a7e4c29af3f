/* A timer of 1 kHz whose handler calls hooked functions, while the thread it interrupts calls the
 * same functions all the time.
 * needs: leaf */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>
#include <time.h>
#include "truth.h"
void leaf(void);
long leaf_add(long, long);
static volatile long ticks, wrong;
static void tick(int number) {
    int before = errno;
    leaf();
    if (leaf_add(ticks, number) != ticks + number) wrong++;
    ticks++;
    errno = before;
}
int main(void) {
    struct sigaction action = {0};
    action.sa_handler = tick;
    action.sa_flags = SA_RESTART;
    sigaction(SIGALRM, &action, 0);
    struct itimerval every = {{0, 1000}, {0, 1000}};
    setitimer(ITIMER_REAL, &every, 0);
    long calls = 0, sum = 0;
    while (ticks < 400) {
        for (int i = 0; i < 100; i++) {
            leaf();
            sum = leaf_add(sum, 1);
            calls++;
        }
        errno = 0;
    }
    struct itimerval never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &never, 0);
    truth_calls("leaf", calls + ticks);
    truth_calls("leaf_add", calls + ticks);
    printf("wrong %ld %d\n", wrong + (sum != calls), ticks >= 400);
    return 0;
}

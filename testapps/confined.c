/* Locks itself in as daemons do: chroot into an empty place and another user, then goes on calling
 * and starting threads. Where it may not, it goes on without.
 * needs: leaf
 * build: -pthread -D_GNU_SOURCE */
#include <grp.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
#include "truth.h"
void leaf(void);
static void *calls(void *unused) {
    for (int i = 0; i < 5000; i++) leaf();
    return unused;
}
static void threads(void) {
    for (int i = 0; i < 20; i++) {
        pthread_t id;
        pthread_create(&id, 0, calls, 0);
        pthread_join(id, 0);
    }
}
int main(void) {
    truth_line("at-most", "leaf", 40 * 5000);
    truth_line("at-least", "leaf", 20 * 5000);
    threads();
    int in = chroot("/proc/self/fdinfo") == 0 && chdir("/") == 0;
    int other = setgroups(0, 0) == 0 && setgid(65534) == 0 && setuid(65534) == 0;
    threads();
    printf("confined %d %d\n", in, other);
    return 0;
}

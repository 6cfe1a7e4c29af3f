/* A position-dependent executable that takes the address of free: its linkage entry for free is then
 * the address of free everywhere, and the C library's own calls of it, down to the last ones of an
 * ending thread, come through the executable. Each of 1 000 threads (or argv[1]) calls the library
 * once.
 * build: -no-pie -fno-pie -pthread
 * needs: leaf */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include "truth.h"
void leaf(void);
static void *brief(void *unused) {
    leaf();
    return unused;
}
int main(int argc, char **argv) {
    long threads = argc > 1 ? atol(argv[1]) : 1000;
    void (*volatile release)(void *) = free;
    for (long i = 0; i < threads; i++) {
        pthread_t id;
        if (pthread_create(&id, 0, brief, 0)) return 3;
        pthread_join(id, 0);
    }
    truth_calls("leaf", threads);
    truth_calls("pthread_create", threads);
    printf("threads %ld %d\n", threads, release == free);
    return 0;
}

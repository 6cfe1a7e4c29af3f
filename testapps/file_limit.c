/* Lowers RLIMIT_FSIZE, RLIMIT_NOFILE and RLIMIT_AS as careful programs do, then goes on calling
 * and starting threads: nobody else may grow a file on its account and bring it SIGXFSZ.
 * needs: leaf
 * build: -pthread */
#include <pthread.h>
#include <stdio.h>
#include <sys/resource.h>
#include "truth.h"
void leaf(void);
static void *calls(void *unused) {
    for (int i = 0; i < 5000; i++) leaf();
    return unused;
}
int main(void) {
    struct rlimit small = {4096, 4096};
    setrlimit(RLIMIT_FSIZE, &small);
    struct rlimit few = {3, 3};
    setrlimit(RLIMIT_NOFILE, &few);
    long bad = 0;
    for (int i = 0; i < 20; i++) {
        pthread_t thread;
        bad += pthread_create(&thread, 0, calls, 0) != 0;
        pthread_join(thread, 0);
    }
    calls(0);
    /* Only what could be stored can be counted: files may be forbidden to grow. */
    truth_line("at-most", "leaf", 21 * 5000);
    printf("bad %ld\n", bad);
    return 0;
}

/* Calls from two threads and ends, while both are calling, in the way argv[1] names: return, exit,
 * _exit, quick_exit, abort, segv, term, kill, main_exits (pthread_exit in main), raise_in_thread.
 * Counters in a shared mapping (TESTAPP_COUNTERS) say how many calls began and how many returned.
 * needs: leaf
 * build: -pthread -D_GNU_SOURCE */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "truth.h"
void leaf(void);
static struct truth_counters *counters;
static volatile int stop;
static void call_until(struct truth_counters *mine, uint64_t limit) {
    while (!stop && mine->done < limit) {
        mine->begun++;
        leaf();
        mine->done++;
    }
}
static void *background(void *unused) {
    call_until(counters + 1, 1ull << 40);
    return unused;
}
static void at_exit(void) {
    for (int i = 0; i < 10; i++) counters[0].begun++, leaf(), counters[0].done++;
}
int main(int argc, char **argv) {
    const char *how = argc > 1 ? argv[1] : "return";
    counters = truth_map();
    atexit(at_exit);
    at_quick_exit(at_exit);
    pthread_t thread;
    pthread_create(&thread, 0, background, 0);
    while (!counters[1].done) sched_yield();
    call_until(counters, 300000);
    puts("ending");
    fflush(stdout);
    if (!strcmp(how, "exit")) exit(3);
    if (!strcmp(how, "_exit")) _exit(4);
    if (!strcmp(how, "quick_exit")) quick_exit(5);
    if (!strcmp(how, "abort")) abort();
    if (!strcmp(how, "segv")) *(volatile int *)8 = 1;
    if (!strcmp(how, "term")) raise(SIGTERM);
    if (!strcmp(how, "kill")) kill(getpid(), SIGKILL);
    stop = 1;
    if (!strcmp(how, "main_exits")) pthread_exit(0);
    pthread_join(thread, 0);
    return 2;
}

/* Functions that seldom reach the kernel, called in turn, in one or more threads, so often that
 * most calls are only counted: whose system call is it? Argument: threads. Truth as in known.c,
 * and "calls" of each.
 * needs: buffered
 * build: -pthread -D_GNU_SOURCE */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "truth.h"
enum { ROUNDS = 185000 }; /* a multiple of 37, 100 and 250 */
long buffered_put(int, char), buffered_tick(void), buffered_save(int), buffered_peek(void);
static int null_fd;
static long wrong;
static void *work(void *unused) {
    long ticked = 0, put = 0, saved = 0, most = 0;
    for (long i = 0; i < ROUNDS; i++) {
        put += buffered_put(null_fd, (char)i);
        long held = buffered_peek();
        most = held > most ? held : most;
        ticked += buffered_tick() > 0;
        saved += buffered_save(null_fd);
    }
    if (put != ROUNDS || most != 99 || ticked != ROUNDS / 37 || saved != ROUNDS / 250 * 10)
        __atomic_add_fetch(&wrong, 1, __ATOMIC_RELAXED);
    return unused;
}
int main(int argc, char **argv) {
    long threads = argc > 1 ? atol(argv[1]) : 1;
    pthread_t others[64];
    null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    for (long i = 1; i < threads; i++) pthread_create(&others[i], 0, work, 0);
    work(0);
    for (long i = 1; i < threads; i++) pthread_join(others[i], 0);
    printf("wrong %ld\n", wrong);
    truth_line("syscall", "buffered_put:write", threads * (ROUNDS / 100));
    truth_line("syscall", "buffered_tick:getppid", threads * (ROUNDS / 37));
    truth_line("syscall", "write:write", threads * (ROUNDS / 250));
    truth_line("below", "buffered_save:write", threads * (ROUNDS / 250));
    truth_calls("buffered_put", threads * ROUNDS);
    truth_calls("buffered_peek", threads * ROUNDS);
    truth_calls("buffered_tick", threads * ROUNDS);
    truth_calls("buffered_save", threads * ROUNDS);
    return wrong != 0;
}

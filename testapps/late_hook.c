/* Eight threads make system calls without a pause and check every result, while the program loads
 * the library its first argument names (if any). What they do afterwards is counted. Truth:
 * "after NAME N" system calls begun and ended after dlopen returned, "all NAME N" from the start.
 * needs: known
 * build: -pthread -D_GNU_SOURCE */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
#include "truth.h"
enum { THREADS = 8, CALLS = 4000 };
long known_mov(void), known_far(void), known_xor(int, char *);
static volatile int loaded;
static volatile long calls[THREADS];
static long first[THREADS], wrong;
static int zero, pipes[2];
static long parent;
static int by_instruction(char *byte) {
    return known_mov() == parent && known_far() == parent && known_xor(zero, byte) == 1 && !*byte;
}
static int by_library(char *byte) {
    return getppid() == parent && read(zero, byte, 1) == 1 && !*byte;
}
static int by_pipe(char *byte) {
    *byte = 'q';
    if (write(pipes[1], byte, 1) != 1) return 0;
    *byte = 0;
    return read(pipes[0], byte, 1) == 1 && *byte == 'q';
}
static int by_lock(char *byte) {
    (void)byte;
    static unsigned word;
    errno = 0;
    return syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 1, 0, 0, 0) == -1 && errno == EAGAIN;
}
static int by_sleep(char *byte) {
    (void)byte;
    struct timespec moment = {0, 1};
    return clock_nanosleep(CLOCK_MONOTONIC, 0, &moment, 0) == 0;
}
static int by_failure(char *byte) {
    errno = 0;
    return read(-1, byte, 1) == -1 && errno == EBADF;
}
static int (*const ways[])(char *) = {by_instruction, by_library, by_pipe,    by_lock,
                                      by_sleep,       by_failure, by_library, by_instruction};
static void *run(void *number) {
    long own = (long)number;
    for (long since = -1; since < 0 || calls[own] - since < CALLS; calls[own]++) {
        /* One more, because a call that had begun before is none of those after. */
        if (since < 0 && loaded) first[own] = since = calls[own] + 1;
        char byte = 1;
        if (!ways[own](&byte)) __atomic_add_fetch(&wrong, 1, __ATOMIC_RELAXED);
    }
    return 0;
}
int main(int argc, char **argv) {
    pthread_t threads[THREADS];
    parent = getppid();
    zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    if (pipe(pipes)) return 2;
    for (long i = 0; i < THREADS; i++) pthread_create(&threads[i], 0, run, (void *)i);
    for (int i = 0; i < THREADS; i++)
        while (calls[i] < 200) sched_yield();
    if (argc > 1 && !dlopen(argv[1], RTLD_NOW)) puts(dlerror());
    loaded = 1;
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], 0);
    printf("wrong %ld\n", wrong);
    for (int i = 0; i < THREADS; i++) {
        const char *const names[][3] = {{"getppid", "getppid", "read"}, {"getppid", "read", 0},
                                        {"write", "read", 0},           {"futex", 0, 0},
                                        {"clock_nanosleep", 0, 0},      {"read", 0, 0},
                                        {"getppid", "read", 0},         {"getppid", "getppid", "read"}};
        for (int k = 0; k < 3 && names[i][k]; k++) {
            truth_line("after", names[i][k], calls[i] - first[i]);
            truth_line("all", names[i][k], calls[i]);
        }
    }
    return wrong != 0;
}

/* memory THREADS APIS: THREADS threads live at once, each of which calls APIS different library
 * functions, 1000 times each. Prints the resident size of the process (KiB, mapped files
 * included) while all of them still live.
 *
 * One of the APIS is the read() in which a thread waits for the end. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { CALLS = 1000, MAX_APIS = 101 };

#define TEN_NAMES(op, n)                                                                           \
    op(n##0) op(n##1) op(n##2) op(n##3) op(n##4) op(n##5) op(n##6) op(n##7) op(n##8) op(n##9)
#define ALL_NAMES(op)                                                                              \
    TEN_NAMES(op, 0) TEN_NAMES(op, 1) TEN_NAMES(op, 2) TEN_NAMES(op, 3) TEN_NAMES(op, 4)           \
    TEN_NAMES(op, 5) TEN_NAMES(op, 6) TEN_NAMES(op, 7) TEN_NAMES(op, 8) TEN_NAMES(op, 9)
#define DECLARE(n) void callee_##n(void);
ALL_NAMES(DECLARE)

static int apis, gate[2];
static atomic_int arrived;

/* One call instruction per function: a table of pointers would not go through GOT slots. */
static void call_all(void) {
    int left = apis - 1;
#define CALL(n)                                                                                    \
    if (left-- <= 0) return;                                                                       \
    callee_##n();
    ALL_NAMES(CALL)
}

static void *work(void *unused) {
    char byte;
    (void)unused;
    for (int i = 0; i < CALLS; i++) call_all();
    atomic_fetch_add(&arrived, 1);
    while (read(gate[0], &byte, 1) > 0) {
    }
    return NULL;
}

static long resident_kib(void) {
    long size = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%ld %ld", &size, &resident) != 2) exit(3);
    fclose(file);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    int threads = atoi(argv[1]);
    apis = atoi(argv[2]);
    if (threads < 0 || apis < 1 || apis > MAX_APIS || pipe(gate) != 0) return 2;

    pthread_t *ids = calloc((size_t)threads + 1, sizeof *ids);
    if (ids == NULL) return 3;
    for (int i = 0; i < threads; i++)
        if (pthread_create(&ids[i], NULL, work, NULL) != 0) return 3;
    while (atomic_load(&arrived) < threads) usleep(1000);
    printf("%ld\n", resident_kib());
    close(gate[1]);
    for (int i = 0; i < threads; i++) pthread_join(ids[i], NULL);
    free(ids);
    return 0;
}

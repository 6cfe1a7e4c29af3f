/* The shortest system calls in a loop, for measuring what is added to one. Arguments: getppid,
 * read (one byte of /dev/zero) or both; how many. Truth: "ns NAME N" the whole loop took and
 * "syscall" as in known.c.
 * needs: known
 * build: -D_GNU_SOURCE */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "truth.h"
static long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000L + time.tv_nsec;
}
int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "both";
    long count = argc > 2 ? atol(argv[2]) : 100000, wrong = 0;
    int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC), both = !strcmp(what, "both");
    if (both || !strcmp(what, "getppid")) {
        long begin = now();
        for (long i = 0; i < count; i++) wrong += getppid() <= 0;
        truth_line("ns", "getppid", now() - begin);
        truth_line("syscall", "getppid:getppid", count);
    }
    if (both || !strcmp(what, "read")) {
        char byte;
        long begin = now();
        for (long i = 0; i < count; i++) wrong += read(zero, &byte, 1) != 1;
        truth_line("ns", "read", now() - begin);
        truth_line("syscall", "read:read", count);
        truth_line("bytes", "read:read", count);
    }
    printf("wrong %ld\n", wrong);
    return wrong != 0;
}

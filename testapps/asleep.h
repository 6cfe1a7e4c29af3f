/* Waiting, without a fixed time, until another thread of the process sleeps in the kernel. */
#ifndef ASLEEP_H
#define ASLEEP_H
#include <fcntl.h>
#include <sched.h>
#include "truth.h"

/* Made of raw calls, as the truth is, so that it adds to no count of an API. */
__attribute__((unused)) static int asleep(int tid) {
    char path[64] = "/proc/self/task/", text[256], digits[12];
    int at = 16, count = 0;
    do digits[count++] = (char)('0' + tid % 10), tid /= 10;
    while (tid);
    while (count) path[at++] = digits[--count];
    for (const char *rest = "/stat"; *rest; rest++) path[at++] = *rest;
    path[at] = 0;
    long fd = truth_syscall(SYS_open, (long)path, O_RDONLY | O_CLOEXEC, 0, 0, 0, 0);
    long size = truth_syscall(SYS_read, fd, (long)text, sizeof text, 0, 0, 0);
    truth_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
    while (size > 0 && text[size - 1] != ')') size--;
    return size > 0 && text[size + 1] == 'S';
}

__attribute__((unused)) static void until_asleep(volatile int *tid) {
    while (!*tid || !asleep(*tid)) truth_syscall(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
}
#endif

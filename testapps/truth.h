/* How a testapp tells the truth about itself.
 *
 * Lines "KIND NAME VALUE" are appended to the file named by the environment variable
 * TESTAPP_TRUTH (nothing is written when it is not set, so that standard output stays the same
 * in every run). "calls API N": this process called API N times from its executable; lines of
 * several processes add up. Everything here is made of raw system calls and plain loops: the
 * truth must not itself be a hooked call. */
#ifndef TRUTH_H
#define TRUTH_H

#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#ifdef __cplusplus
extern "C" {
#endif
extern char **environ;
#ifdef __cplusplus
}
#endif

__attribute__((unused)) static long truth_syscall(long number, long a, long b, long c, long d,
                                                  long e, long f) {
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

__attribute__((unused)) static const char *truth_environment(const char *name) {
    for (char **entry = environ; entry && *entry; entry++) {
        const char *have = *entry, *want = name;
        while (*want && *have == *want) have++, want++;
        if (!*want && *have == '=') return have + 1;
    }
    return 0;
}

__attribute__((unused)) static void truth_line(const char *kind, const char *name,
                                               unsigned long long value) {
    const char *path = truth_environment("TESTAPP_TRUTH");
    if (!path) return;
    char line[256], digits[24];
    int at = 0, count = 0;
    while (*kind) line[at++] = *kind++;
    line[at++] = ' ';
    while (*name) line[at++] = *name++;
    line[at++] = ' ';
    do digits[count++] = (char)('0' + value % 10), value /= 10;
    while (value);
    while (count) line[at++] = digits[--count];
    line[at++] = '\n';
    long fd = truth_syscall(SYS_open, (long)path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644,
                            0, 0, 0);
    if (fd < 0) return;
    truth_syscall(SYS_write, fd, (long)line, at, 0, 0, 0);
    truth_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
}

/* This process called `api` from its executable `count` times (adds up with other lines). */
__attribute__((unused)) static void truth_calls(const char *api, unsigned long long count) {
    truth_line("calls", api, count);
}

/* The kernel's id of the calling thread. */
__attribute__((unused)) static int truth_tid(void) {
    return (int)truth_syscall(SYS_gettid, 0, 0, 0, 0, 0, 0);
}

/* Counters that outlive a SIGKILL: a shared mapping of the file TESTAPP_COUNTERS names. */
struct truth_counters {
    volatile uint64_t begun;
    volatile uint64_t done;
};

__attribute__((unused)) static struct truth_counters *truth_map(void) {
    static struct truth_counters own;
    const char *path = truth_environment("TESTAPP_COUNTERS");
    if (!path) return &own;
    long fd = truth_syscall(SYS_open, (long)path, O_RDWR | O_CREAT | O_CLOEXEC, 0644, 0, 0, 0);
    truth_syscall(SYS_ftruncate, fd, 4096, 0, 0, 0, 0);
    long at = truth_syscall(SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    truth_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
    return at < 0 && at > -4096 ? &own : (struct truth_counters *)at;
}

/* The processor's time stamp. */
__attribute__((unused)) static inline uint64_t truth_cycles(void) {
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return ((uint64_t)high << 32) | low;
}

#endif

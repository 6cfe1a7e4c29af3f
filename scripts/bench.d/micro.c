/* micro LOOP COUNT: makes COUNT library calls and prints "calls cpu_ns wall_ns".
 *
 * LOOP is one of
 *   empty   an empty function of another component, through its GOT slot
 *   malloc  malloc and free of 32 bytes
 *   mutex   lock and unlock of a mutex nobody else wants
 *   thread  pthread_create and pthread_join of an empty thread
 *   getppid, read  the system calls, by instructions in this program; read takes 1 byte of /dev/zero
 * The CPU time is of the whole process, so that a recorder's own threads and page faults are in it.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

void callee_empty(void);

static uint64_t now_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t loop_empty(uint64_t count) {
    for (uint64_t i = 0; i < count; i++) callee_empty();
    return count;
}

static uint64_t loop_malloc(uint64_t count) {
    for (uint64_t i = 0; i < count; i += 2) {
        void *block = malloc(32);
        __asm__ volatile("" : "+r"(block) : : "memory"); /* or the compiler drops the pair */
        free(block);
    }
    return count;
}

static uint64_t loop_mutex(uint64_t count) {
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    for (uint64_t i = 0; i < count; i += 2) {
        pthread_mutex_lock(&mutex);
        pthread_mutex_unlock(&mutex);
    }
    return count;
}

static void *nothing(void *argument) { return argument; }

static uint64_t loop_thread(uint64_t count) {
    for (uint64_t i = 0; i < count; i += 2) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, nothing, NULL) != 0) exit(3);
        pthread_join(thread, NULL);
    }
    return count;
}

static uint64_t loop_getppid(uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        long result;
        __asm__ volatile("mov %1, %%eax\n\tsyscall"
                         : "=&a"(result)
                         : "i"(SYS_getppid)
                         : "rcx", "r11", "memory", "cc");
    }
    return count;
}

static uint64_t loop_read(uint64_t count) {
    static char byte;
    long zero = open("/dev/zero", O_RDONLY);
    for (uint64_t i = 0; i < count; i++) {
        long result;
        __asm__ volatile("mov %1, %%eax\n\tsyscall"
                         : "=&a"(result)
                         : "i"(SYS_read), "D"(zero), "S"(&byte), "d"(1)
                         : "rcx", "r11", "memory", "cc");
        if (result != 1) exit(3);
    }
    return count;
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        uint64_t (*run)(uint64_t);
    } loops[] = {
        {"empty", loop_empty},     {"malloc", loop_malloc},   {"mutex", loop_mutex},
        {"thread", loop_thread},   {"getppid", loop_getppid}, {"read", loop_read}};

    if (argc != 3) return 2;
    for (size_t i = 0; i < sizeof loops / sizeof *loops; i++) {
        if (strcmp(argv[1], loops[i].name) != 0) continue;
        uint64_t wall = now_ns(CLOCK_MONOTONIC), cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID);
        uint64_t calls = loops[i].run(strtoull(argv[2], NULL, 10));
        cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
        wall = now_ns(CLOCK_MONOTONIC) - wall;
        printf("%llu %llu %llu\n", (unsigned long long)calls, (unsigned long long)cpu,
               (unsigned long long)wall);
        return 0;
    }
    return 2;
}

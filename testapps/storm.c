/* Hundreds of signals while a thread makes system calls in a hot loop and checks every result;
 * the handler makes system calls itself. Truth as in known.c.
 * needs: known
 * build: -pthread -D_GNU_SOURCE */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>
#include <unistd.h>
#include "raw.h"
#include "truth.h"
enum { CALLS = 30000, SIGNALS = 150 };
long known_mov(void), known_xor(int, char *), known_libc(void);
static volatile long handled, wrong;
static volatile int over;
static long parent;
static int zero;
static void handler(int number) {
    int before = errno;
    char byte = 1;
    if (known_mov() != parent || known_libc() != parent) wrong++;
    if (known_xor(zero, &byte) != 1 || byte) wrong++;
    if (close(-1) != -1 || errno != EBADF || !number) wrong++;
    /* Handlers interrupt one another. */
    __atomic_fetch_add(&handled, 1, __ATOMIC_RELAXED);
    errno = before;
}
static void *sender(void *thread) {
    while (!over) {
        pthread_kill(*(pthread_t *)thread, SIGUSR1);
        RAW_MOV(SYS_sched_yield, 0, 0, 0);
    }
    return 0;
}
int main(void) {
    parent = RAW_MOV(SYS_getppid, 0, 0, 0);
    zero = open("/dev/zero", O_RDWR | O_CLOEXEC);
    struct sigaction action = {0};
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;
    sigaction(SIGUSR1, &action, 0);
    sigaction(SIGALRM, &action, 0);
    /* A timer hits anywhere, a thread mostly where the kernel is left. */
    sigset_t timer;
    sigemptyset(&timer), sigaddset(&timer, SIGALRM);
    pthread_t self = pthread_self(), thread;
    pthread_sigmask(SIG_BLOCK, &timer, 0);
    pthread_create(&thread, 0, sender, &self);
    pthread_sigmask(SIG_UNBLOCK, &timer, 0);
    struct itimerval every = {{0, 100}, {0, 100}}, off = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &every, 0);
    long bytes = 0, calls = 0;
    for (; calls < CALLS || handled < SIGNALS; calls++) {
        char byte = 1;
        errno = 77;
        wrong += known_mov() != parent;
        wrong += known_libc() != parent;
        bytes += known_xor(zero, &byte) + byte;
        wrong += write(zero, "abc", 3) != 3;
        wrong += errno != 77;
        wrong += read(-1, &byte, 1) != -1 || errno != EBADF;
    }
    setitimer(ITIMER_REAL, &off, 0);
    over = 1;
    pthread_join(thread, 0);
    wrong += bytes != calls;
    printf("wrong %ld\n", wrong);
    truth_line("syscall", "known_mov:getppid", calls + handled);
    truth_line("syscall", "getppid:getppid", calls + handled);
    truth_line("syscall", "known_xor:read", calls + handled);
    truth_line("syscall", "write:write", calls);
    truth_line("syscall", "read:read", calls);
    truth_line("syscall", "close:close", handled);
    truth_line("errno", "read:9", calls);
    truth_line("errno", "close:9", handled);
    truth_line("bytes", "write:write", 3 * calls);
    return wrong != 0;
}

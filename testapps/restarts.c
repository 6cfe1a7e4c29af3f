/* Signals that arrive while a thread is blocked in recv: the kernel takes the call up again where
 * the handler has SA_RESTART, and ends it with EINTR where not. A restarted call is one call.
 * Truth as in known.c and errors.c.
 * build: -pthread -D_GNU_SOURCE */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include "asleep.h"
#include "truth.h"
enum { SIGNALS = 40, ROUNDS = 25 };
static volatile int handled, tid;
static int ends[2];
static long wrong;
static void note(int number) {
    (void)number;
    handled++;
}
static void handle(int flags) {
    struct sigaction action = {0};
    action.sa_handler = note;
    action.sa_flags = flags;
    sigaction(SIGUSR1, &action, 0);
}
static void *patient(void *unused) {
    tid = truth_tid();
    for (int i = 0; i < ROUNDS; i++) {
        char byte = 0;
        if (recv(ends[0], &byte, 1, 0) != 1 || byte != (char)('a' + i)) wrong++;
    }
    return unused;
}
static void *hasty(void *unused) {
    tid = truth_tid();
    for (int i = 0; i < SIGNALS; i++) {
        char byte = 0;
        errno = 0;
        if (recv(ends[0], &byte, 1, 0) != -1 || errno != EINTR) wrong++;
    }
    return unused;
}
static void interrupt(pthread_t thread) {
    int before = handled;
    until_asleep(&tid);
    pthread_kill(thread, SIGUSR1);
    while (handled == before) truth_syscall(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
}
int main(void) {
    pthread_t thread;
    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends);
    handle(SA_RESTART);
    pthread_create(&thread, 0, patient, 0);
    for (int i = 0; i < ROUNDS; i++) {
        for (int k = 0; k < SIGNALS / 10; k++) interrupt(thread);
        char byte = (char)('a' + i);
        send(ends[1], &byte, 1, 0);
    }
    pthread_join(thread, 0);
    handle(0);
    tid = 0;
    pthread_create(&thread, 0, hasty, 0);
    for (int i = 0; i < SIGNALS; i++) interrupt(thread);
    pthread_join(thread, 0);
    printf("wrong %ld\n", wrong);
    truth_line("syscall", "recv:recvfrom", ROUNDS + SIGNALS);
    truth_line("syscall", "send:sendto", ROUNDS);
    truth_line("errno", "recvfrom:4", SIGNALS);
    truth_line("bytes", "recv:recvfrom", ROUNDS);
    return wrong != 0;
}

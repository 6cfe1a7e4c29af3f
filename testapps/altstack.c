/* A signal handler on an alternate stack that calls hooked functions; a stack overflow that is
 * caught there and left by siglongjmp.
 * needs: leaf runback
 * build: -O0 */
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include "truth.h"
void leaf(void);
void run_back(void (*)(void *), void *);
static sigjmp_buf out;
static volatile long handled;
static void on_fault(int number) {
    (void)number;
    leaf();
    handled++;
    siglongjmp(out, 1);
}
static void on_user(int number) {
    (void)number;
    leaf();
    handled++;
}
static void overflow(void *depth) {
    volatile char room[4096];
    room[0] = 1;
    run_back(overflow, (char *)depth + room[0]);
}
int main(void) {
    struct rlimit small = {256 << 10, 256 << 10};
    setrlimit(RLIMIT_STACK, &small);
    stack_t stack = {0};
    stack.ss_size = 64 << 10;
    stack.ss_sp = malloc(stack.ss_size);
    sigaltstack(&stack, 0);
    struct sigaction action = {0};
    action.sa_flags = SA_ONSTACK;
    action.sa_handler = on_user;
    sigaction(SIGUSR1, &action, 0);
    action.sa_handler = on_fault;
    sigaction(SIGSEGV, &action, 0);
    for (int i = 0; i < 1000; i++) raise(SIGUSR1);
    for (volatile int i = 0; i < 3; i++) {
        if (sigsetjmp(out, 1) == 0) overflow(0);
        leaf();
    }
    truth_calls("leaf", handled + 3);
    printf("handled %ld\n", handled);
    return 0;
}

/* ucontext coroutines that switch in the middle of hooked calls: eight of them, each inside
 * run_back when it yields, resumed in an order that is never that of a stack.
 * needs: runback leaf */
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>
#include "truth.h"
void run_back(void (*)(void *), void *);
void leaf(void);
enum { COROUTINES = 8, TURNS = 2000 };
static ucontext_t scheduler, contexts[COROUTINES];
static long progress[COROUTINES], swaps;
static int current;
static void yield(void *unused) {
    (void)unused;
    leaf();
    swaps++;
    swapcontext(&contexts[current], &scheduler);
    leaf();
}
static void body(void) {
    int me = current;
    for (int i = 0; i < TURNS; i++) {
        run_back(yield, 0);
        progress[me]++;
    }
}
int main(void) {
    for (int i = 0; i < COROUTINES; i++) {
        getcontext(&contexts[i]);
        contexts[i].uc_stack.ss_sp = malloc(64 << 10);
        contexts[i].uc_stack.ss_size = 64 << 10;
        contexts[i].uc_link = &scheduler;
        makecontext(&contexts[i], body, 0);
    }
    unsigned state = 5;
    int left[COROUTINES];
    for (int i = 0; i < COROUTINES; i++) left[i] = TURNS + 1;
    for (long done = 0; done < (long)COROUTINES * (TURNS + 1);) {
        state = state * 1103515245 + 12345;
        current = (state >> 16) % COROUTINES;
        if (!left[current]) continue;
        left[current]--;
        done++;
        swaps++;
        swapcontext(&scheduler, &contexts[current]);
    }
    long sum = 0;
    for (int i = 0; i < COROUTINES; i++) sum += progress[i];
    truth_calls("run_back", COROUTINES * TURNS);
    truth_calls("leaf", 2 * COROUTINES * TURNS);
    truth_calls("swapcontext", swaps);
    printf("progress %ld\n", sum);
    return 0;
}

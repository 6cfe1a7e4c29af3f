/* Calls of known total duration, for the estimates of adaptive timing. argv[1]: steady (all
 * alike), bimodal (one in ten is ten times as long), drifting (grows threefold during the run),
 * rare (one of 10 ms among cheap ones, argv[2] of them). The truth is what the work itself measured
 * plus the cost of the call, which is measured on a copy of the work that nobody hooks.
 * needs: work */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "truth.h"
uint64_t work(uint64_t cycles);
__attribute__((noinline, noclone)) static uint64_t own_work(uint64_t cycles) {
    uint64_t begin = truth_cycles(), now;
    do now = truth_cycles();
    while (now - begin < cycles);
    return now - begin;
}
static uint64_t (*volatile copy)(uint64_t) = own_work;
/* Cycles that one call takes beyond what it measures itself: the lowest of several rounds. */
static double call_cost(void) {
    double best = 1e9;
    for (int round = 0; round < 20; round++) {
        uint64_t inside = 0, begin = truth_cycles();
        for (int i = 0; i < 1000; i++) inside += copy(300);
        double cost = (double)(truth_cycles() - begin - inside) / 1000;
        if (cost < best) best = cost;
    }
    return best;
}
static double monotonic_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}
int main(int argc, char **argv) {
    const char *shape = argc > 1 ? argv[1] : "steady";
    int rare = !strcmp(shape, "rare");
    long calls = argc > 2 ? atol(argv[2]) : rare ? 1000000 : 100000;
    double ns_begin = monotonic_ns();
    uint64_t begin = truth_cycles();
    double cost = call_cost();
    while (truth_cycles() - begin < 20000000) {}
    double ns_per_cycle = (monotonic_ns() - ns_begin) / (double)(truth_cycles() - begin);
    uint64_t sum = 0, seed = 88172645463325252ull;
    long hidden = calls * 2 / 3;
    for (long i = 0; i < calls; i++) {
        seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
        uint64_t cycles = rare ? 100 : 1500;
        if (!strcmp(shape, "bimodal") && seed % 10 == 0) cycles *= 10;
        if (!strcmp(shape, "drifting")) cycles += 2 * cycles * (uint64_t)i / (uint64_t)calls;
        if (rare && i == hidden) cycles = (uint64_t)(10e6 / ns_per_cycle);
        sum += work(cycles);
    }
    truth_calls("work", calls);
    truth_line("total_ns", "work",
               (uint64_t)(((double)sum + cost * (double)calls) * ns_per_cycle));
    puts("done");
    return 0;
}

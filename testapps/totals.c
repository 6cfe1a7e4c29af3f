/* Calls of known total duration, for the estimates of adaptive timing. argv[1]: steady (all
 * alike), bimodal (one in ten is ten times as long), drifting (grows threefold during the run),
 * rare (one of 10 ms among cheap ones, argv[2] of them). The truth is the sum of what the caller's own
 * clock readings around each call say, less what two such readings around a call that nobody hooks and
 * that does nothing say on average, taken all along: a busy sibling core slows both alike.
 * needs: work */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "truth.h"
uint64_t work(uint64_t cycles);
__attribute__((noinline, noclone)) static uint64_t own_nothing(uint64_t cycles) {
    __asm__ volatile("");
    return cycles;
}
static uint64_t (*volatile nothing)(uint64_t) = own_nothing;
/* Both clocks at one moment: the closest of several readings, so that a time slice lost between the
 * two does not bend the rate. */
struct moment {
    double ns, cycles;
};
static struct moment moment(void) {
    struct moment best = {0, 0};
    uint64_t apart = UINT64_MAX;
    for (int round = 0; round < 20; round++) {
        struct timespec now;
        uint64_t before = truth_cycles();
        clock_gettime(CLOCK_MONOTONIC, &now);
        uint64_t after = truth_cycles();
        if (after - before >= apart) continue;
        apart = after - before;
        best.ns = (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
        best.cycles = (double)before + (double)apart / 2;
    }
    return best;
}
int main(int argc, char **argv) {
    const char *shape = argc > 1 ? argv[1] : "steady";
    int rare = !strcmp(shape, "rare");
    long calls = argc > 2 ? atol(argv[2]) : rare ? 1000000 : 100000;
    struct moment begin = moment();
    for (uint64_t from = truth_cycles(); truth_cycles() - from < 20000000;) {}
    struct moment end = moment();
    double ns_per_cycle = (end.ns - begin.ns) / (end.cycles - begin.cycles);
    uint64_t sum = 0, readings = 0, rounds = 0, seed = 88172645463325252ull;
    long hidden = calls * 2 / 3;
    for (long i = 0; i < calls; i++) {
        seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
        uint64_t cycles = rare ? 100 : 1500;
        if (!strcmp(shape, "bimodal") && seed % 10 == 0) cycles *= 10;
        if (!strcmp(shape, "drifting")) cycles += 2 * cycles * (uint64_t)i / (uint64_t)calls;
        if (rare && i == hidden) cycles = (uint64_t)(10e6 / ns_per_cycle);
        uint64_t before = truth_cycles();
        work(cycles);
        sum += truth_cycles() - before;
        if (i % 16) continue;
        before = truth_cycles();
        nothing(cycles);
        uint64_t apart = truth_cycles() - before;
        /* More is an interrupt. */
        if (apart < 1000) readings += apart, rounds++;
    }
    double reading = (double)readings / (double)(rounds ? rounds : 1);
    truth_calls("work", calls);
    truth_line("total_ns", "work",
               (uint64_t)(((double)sum - reading * (double)calls) * ns_per_cycle));
    puts("done");
    return 0;
}

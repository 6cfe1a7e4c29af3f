/* Call paths: executable → libtop → libmid → libleaf, and callbacks: qsort and bsearch that call
 * back into the executable, which calls the library again.
 * needs: top mid leaf
 * build: -O0 -fno-builtin */
#include <stdio.h>
#include <stdlib.h>
#include "truth.h"
long top(long);
long top_call(long (*)(long), long);
long leaf_add(long, long);
static long compares, backs;
static int compare(const void *a, const void *b) {
    compares++;
    return (int)leaf_add(*(const int *)a, -*(const int *)b);
}
static long back(long value) {
    backs++;
    return leaf_add(value, 100);
}
int main(void) {
    enum { CALLS = 20000, VALUES = 2000 };
    long sum = 0;
    for (int i = 0; i < CALLS; i++) sum += top(i);
    for (int i = 0; i < CALLS; i++) sum += top_call(back, i);
    static int values[VALUES];
    for (int i = 0; i < VALUES; i++) values[i] = (i * 7919) % VALUES;
    for (int i = 0; i < 5; i++) {
        qsort(values, VALUES, sizeof(int), compare);
        values[0] ^= 0;
    }
    long found = 0;
    for (int i = 0; i < VALUES; i++)
        found += bsearch(&i, values, VALUES, sizeof(int), compare) != 0;
    truth_calls("top", CALLS);
    truth_calls("top_call", CALLS);
    truth_calls("leaf_add", compares + backs);
    truth_calls("qsort", 5);
    truth_calls("bsearch", VALUES);
    truth_line("inner", "libtop.so:mid", 2 * CALLS);
    truth_line("inner", "libtop.so:mid_call", CALLS);
    truth_line("inner", "libmid.so:leaf", 2 * CALLS);
    truth_line("inner", "libmid.so:leaf_add", 2 * CALLS);
    printf("sum %ld found %ld\n", sum, found);
    return 0;
}

/* Allocates and frees: malloc, calloc, realloc, aligned_alloc, free, sizes of many kinds.
 * build: -fno-builtin */
#include <stdio.h>
#include <stdlib.h>
#include "truth.h"
int main(void) {
    enum { ROUNDS = 100000, KEPT = 64 };
    void *kept[KEPT] = {0};
    unsigned state = 1;
    long frees = 0;
    for (int i = 0; i < ROUNDS; i++) {
        state = state * 1103515245 + 12345;
        int slot = (state >> 16) % KEPT;
        free(kept[slot]);
        frees++;
        kept[slot] = malloc(16 + (state >> 8) % 2000);
        ((char *)kept[slot])[0] = 1;
    }
    for (int i = 0; i < 1000; i++) {
        void *p = calloc(7, 33);
        p = realloc(p, 4000);
        free(p);
        frees++;
    }
    for (int i = 0; i < KEPT; i++) free(kept[i]), frees++;
    truth_calls("malloc", ROUNDS);
    truth_calls("calloc", 1000);
    truth_calls("realloc", 1000);
    truth_calls("free", frees);
    puts("done");
    return 0;
}

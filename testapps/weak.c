/* Weak undefined symbols: one that nobody defines must stay null, one that a library defines must
 * be called.
 * needs: leaf */
#include <stdio.h>
#include "truth.h"
__attribute__((weak)) void nobody_has_this(void);
__attribute__((weak)) long leaf_add(long, long);
int main(void) {
    long sum = 0;
    for (int i = 0; i < 1000; i++) {
        if (nobody_has_this) nobody_has_this();
        if (leaf_add) sum = leaf_add(sum, 2);
    }
    truth_line("maybe", "leaf_add", 1000);
    printf("null %d sum %ld\n", nobody_has_this == 0, sum);
    return 0;
}

/* Calls an empty library function N times (default one million): the cost of one call.
 * needs: leaf */
#include <stdio.h>
#include <stdlib.h>
#include "truth.h"
void leaf(void);
int main(int argc, char **argv) {
    long calls = argc > 1 ? atol(argv[1]) : 1000000;
    for (long i = 0; i < calls; i++) leaf();
    truth_calls("leaf", calls);
    printf("done %ld\n", calls);
    return 0;
}

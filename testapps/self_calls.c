/* Calls a library that calls itself: seen only with --self-calls.
 * needs: self */
#include <stdio.h>
#include "truth.h"
int self_outer(int);
int main(void) {
    int sum = 0;
    for (int i = 0; i < 10000; i++) sum += self_outer(i) & 1;
    truth_calls("self_outer", 10000);
    truth_line("self", "libself.so:self_inner", 20000);
    printf("sum %d\n", sum);
    return 0;
}

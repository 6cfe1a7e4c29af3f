/* Calls indirect functions (IFUNC) of another library and of libc.
 * needs: choose
 * build: -fno-builtin */
#include <stdio.h>
#include <string.h>
#include "truth.h"
long chosen(long);
int main(void) {
    long sum = 0;
    char text[64] = "indirect";
    for (int i = 0; i < 50000; i++) {
        sum = chosen(sum);
        sum += (long)strlen(text) - 8;
    }
    truth_calls("chosen", 50000);
    truth_calls("strlen", 50000);
    printf("sum %ld\n", sum);
    return 0;
}

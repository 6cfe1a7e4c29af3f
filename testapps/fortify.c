/* Compiled with FORTIFY, so that calls go to __printf_chk and its kin.
 * build: -O2 -D_FORTIFY_SOURCE=2 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "truth.h"
int main(int argc, char **argv) {
    (void)argv;
    char text[64], copy[64];
    int length = 0;
    for (int i = 0; i < 1000; i++) {
        length += snprintf(text, sizeof text - (argc & 1), "%d %s %.3f", i, "text", i * 0.5);
        strncpy(copy, text, sizeof copy - argc);
    }
    truth_calls("__snprintf_chk", 1000);
    truth_calls("__printf_chk", 1);
    printf("length %d %c\n", length, copy[0]);
    return 0;
}

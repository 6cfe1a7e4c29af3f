/* Execs itself argv[1] times (default 3), calling before each exec and at the end.
 * needs: leaf */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "truth.h"
void leaf(void);
int main(int argc, char **argv) {
    int left = argc > 1 ? atoi(argv[1]) : 3;
    for (int i = 0; i < 1000 + left; i++) leaf();
    truth_calls("leaf", 1000 + left);
    printf("left %d\n", left);
    fflush(stdout);
    if (left > 0) {
        char number[16];
        snprintf(number, sizeof number, "%d", left - 1);
        execl("/proc/self/exe", argv[0], number, (char *)0);
        return 9;
    }
    return 5;
}

/* Prints its whole environment as the program sees it, and what a child gets, apart from what the
 * one who watches put there (LD_PRELOAD and PERFVISOR_*); says how often a name occurs twice.
 * build: -D_GNU_SOURCE */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "truth.h"
static int ours(const char *entry) {
    return !strncmp(entry, "LD_PRELOAD=", 11) || !strncmp(entry, "PERFVISOR_", 10) ||
           !strncmp(entry, "TESTAPP_", 8);
}
int main(int argc, char **argv) {
    int twice = 0;
    for (char **entry = environ; *entry; entry++) {
        if (!ours(*entry)) puts(*entry);
        size_t length = strcspn(*entry, "=") + 1;
        for (char **other = environ; *other; other++)
            if (other != entry && !strncmp(*other, *entry, length)) twice++;
    }
    printf("twice %d\n", twice);
    fflush(stdout);
    if (argc > 1) return 0;
    setenv("TESTED", "yes", 1);
    unsetenv("HOME");
    execl("/proc/self/exe", argv[0], "child", (char *)0);
    return 9;
}

/* Each exec function of libc in turn replaces the program by itself; the last one ends.
 * build: -D_GNU_SOURCE
 * needs: leaf */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "truth.h"
void leaf(void);
int main(int argc, char **argv) {
    static char own[] = "/proc/self/exe";
    int step = argc > 1 ? atoi(argv[1]) : 0;
    char next[16];
    snprintf(next, sizeof next, "%d", step + 1);
    char *arguments[] = {argv[0], next, 0};
    leaf();
    truth_calls("leaf", 1);
    printf("step %d %s\n", step, getenv("KEPT") ? "kept" : "-");
    fflush(stdout);
    switch (step) {
    case 0: setenv("KEPT", "yes", 1); execv(own, arguments); break;
    case 1: execve(own, arguments, environ); break;
    case 2: execvp(own, arguments); break;
    case 3: execvpe(own, arguments, environ); break;
    case 4: execl(own, argv[0], next, (char *)0); break;
    case 5: execlp(own, argv[0], next, (char *)0); break;
    case 6: execle(own, argv[0], next, (char *)0, environ); break;
    case 7: fexecve(open(own, O_RDONLY), arguments, environ); break;
    case 8: execveat(AT_FDCWD, own, arguments, environ, 0); break;
    default: return 0;
    }
    return 9;
}

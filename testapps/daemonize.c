/* Becomes a daemon, calls on in the background and says through a pipe when it is done.
 * needs: leaf
 * build: -D_DEFAULT_SOURCE */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
#include "truth.h"
void leaf(void);
int main(void) {
    int ends[2];
    if (pipe(ends)) return 3;
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        if (daemon(1, 1)) return 4;
        for (int i = 0; i < 12345; i++) leaf();
        truth_calls("leaf", 12345);
        fflush(stdout);
        return write(ends[1], "x", 1) != 1;
    }
    close(ends[1]);
    char byte;
    waitpid(child, 0, 0);
    long got = read(ends[0], &byte, 1);
    got += read(ends[0], &byte, 1);
    printf("daemon said %ld\n", got);
    return 0;
}

/* Lists its file descriptors, opens some to see their numbers, closes everything from 3 to 1023
 * as daemons do, goes on calling and starts threads; lists them again.
 * needs: leaf
 * build: -pthread */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
#include "truth.h"
void leaf(void);
static void list(const char *when) {
    printf("%s:", when);
    for (int fd = 0; fd < 1100; fd++)
        if (fcntl(fd, F_GETFD) != -1) printf(" %d", fd);
    puts("");
}
static void *calls(void *unused) {
    for (int i = 0; i < 1000; i++) leaf();
    return unused;
}
static void threads(void) {
    for (int i = 0; i < 8; i++) {
        pthread_t thread;
        pthread_create(&thread, 0, calls, 0);
        pthread_join(thread, 0);
    }
}
int main(void) {
    list("start");
    int first = open("/dev/null", O_RDONLY), second = open("/dev/null", O_RDONLY);
    printf("opened %d %d\n", first, second);
    threads();
    for (int round = 0; round < 3; round++) {
        for (int fd = 3; fd < 1024; fd++) close(fd);
        threads();
        list("closed");
        printf("opened %d\n", open("/dev/null", O_RDONLY));
    }
    truth_calls("leaf", 4 * 8 * 1000);
    truth_calls("close", 3 * 1021);
    return 0;
}

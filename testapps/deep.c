/* Recursion through a library, 20 000 calls deep, from the main thread and from another, and again.
 * needs: runback leaf
 * build: -pthread */
#include <pthread.h>
#include <stdio.h>
#include "truth.h"
void run_back(void (*)(void *), void *);
void leaf(void);
enum { DEPTH = 20000, ROUNDS = 3 };
static void down(void *left) {
    leaf();
    if (left) run_back(down, (char *)left - 1);
    leaf();
}
static void *dive(void *unused) {
    for (int i = 0; i < ROUNDS; i++) run_back(down, (void *)(long)(DEPTH - 1));
    return unused;
}
int main(void) {
    pthread_t thread;
    dive(0);
    pthread_create(&thread, 0, dive, 0);
    pthread_join(thread, 0);
    truth_calls("run_back", 2 * ROUNDS * DEPTH);
    truth_calls("leaf", 2 * 2 * ROUNDS * DEPTH);
    puts("done");
    return 0;
}

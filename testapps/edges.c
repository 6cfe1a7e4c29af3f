/* Calls where lives begin and end: constructors, destructors, atexit, thread-specific destructors
 * (which run while the thread is going away), destructors of thread-local objects.
 * needs: late leaf
 * build: -pthread */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include "truth.h"
void leaf(void);
void late_touch(void);
static pthread_key_t key;
static int leaves;
static void one(void) {
    leaf();
    __atomic_add_fetch(&leaves, 1, __ATOMIC_RELAXED);
}
static void destructor(void *round) {
    one();
    if ((long)round < 4) pthread_setspecific(key, (void *)((long)round + 1));
}
static void *thread(void *unused) {
    pthread_setspecific(key, (void *)1);
    one();
    return unused;
}
static void at_exit(void) {
    one();
    truth_calls("leaf", leaves);
    /* The constructors of libraries may run before anybody can watch. */
    truth_line("inner-at-least", "liblate.so:leaf", 13);
}
__attribute__((constructor)) static void before_main(void) { one(); }
int main(void) {
    atexit(at_exit);
    late_touch();
    pthread_key_create(&key, destructor);
    for (int i = 0; i < 300; i++) {
        pthread_t id;
        pthread_create(&id, 0, thread, 0);
        pthread_join(id, 0);
    }
    printf("leaves %d\n", leaves);
    return 0;
}

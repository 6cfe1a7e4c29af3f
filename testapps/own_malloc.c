/* Brings its own allocator, as programs with jemalloc do; it must never be entered from within
 * itself, nor before it is ready.
 * needs: leaf
 * build: -pthread -fno-builtin */
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include "truth.h"
void leaf(void);
static char arena[64 << 20] __attribute__((aligned(16)));
static size_t used;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local int inside;
static int reentered;
void *malloc(size_t size) {
    if (inside++) reentered++;
    pthread_mutex_lock(&lock);
    size_t *block = (size_t *)(arena + used);
    size_t whole = (size + 16 + 15) & ~(size_t)15;
    if (used + whole > sizeof arena) {
        pthread_mutex_unlock(&lock);
        inside--;
        return NULL;
    }
    used += whole;
    block[0] = size;
    pthread_mutex_unlock(&lock);
    inside--;
    return block + 2;
}
void free(void *block) { (void)block; }
void *calloc(size_t count, size_t size) {
    void *block = malloc(count * size);
    return block ? memset(block, 0, count * size) : NULL;
}
void *realloc(void *block, size_t size) {
    void *bigger = malloc(size);
    if (block && bigger) {
        size_t had = ((size_t *)block)[-2];
        memcpy(bigger, block, had < size ? had : size);
    }
    return bigger;
}
static void *thread(void *unused) {
    for (int i = 0; i < 1000; i++) {
        leaf();
        char *text = strdup("some text");
        if (!text || strcmp(text, "some text")) reentered += 1000;
        free(text);
    }
    return unused;
}
int main(void) {
    for (int i = 0; i < 8; i++) {
        pthread_t id;
        pthread_create(&id, 0, thread, 0);
        pthread_join(id, 0);
    }
    truth_calls("leaf", 8000);
    truth_calls("strdup", 8000);
    printf("reentered %d\n", reentered);
    return 0;
}

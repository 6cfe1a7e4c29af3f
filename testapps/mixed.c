/* A function that is called and whose address is looked at: the executable, libraries built with
 * and without a linkage table, and a plugin, which is closed and opened again and again while
 * threads run through it, all see one address, and their calls are counted.
 * needs: mixed mixednoplt leaf
 * loads: mixedplug
 * build: -D_GNU_SOURCE -pthread -rdynamic */
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include "truth.h"
enum { CALLS = 1000, ROUNDS = 60, THREADS = 2 };
enum { CLOSED, OPENING, OPEN, OVER };
long leaf_add(long, long);
void *mixed_pointer(void), *noplt_pointer(void);
long mixed_call(long), mixed_jump(long), noplt_call(long), noplt_jump(long);
static long (*registered)(long);
static int phase, inside[THREADS];
static long bad, after;
void mixed_register(long (*run)(long)) {
    registered = run;
    __atomic_store_n(&phase, OPENING, __ATOMIC_SEQ_CST);
}
/* One call from the executable; never inlined, so that nothing is loaded once for many. */
__attribute__((noinline)) static long direct(long value) {
    long sum = leaf_add(value, 1);
    __asm__ volatile("");
    return sum;
}
static void *worker(void *number) {
    int *busy = &inside[(long)number], now;
    while ((now = __atomic_load_n(&phase, __ATOMIC_SEQ_CST)) != OVER) {
        if (now == CLOSED) {
            sched_yield();
            continue;
        }
        __atomic_store_n(busy, 1, __ATOMIC_SEQ_CST);
        now = __atomic_load_n(&phase, __ATOMIC_SEQ_CST);
        if (now == OPENING || now == OPEN) {
            if (registered(41) != 42) __atomic_add_fetch(&bad, 1, __ATOMIC_SEQ_CST);
            /* What was called before the plugin was known as loaded may go uncounted. */
            if (now == OPEN) __atomic_add_fetch(&after, 1, __ATOMIC_SEQ_CST);
        }
        __atomic_store_n(busy, 0, __ATOMIC_SEQ_CST);
    }
    return 0;
}
static void round_of(void *expected) {
    void *plugin = dlopen("libmixedplug.so", RTLD_NOW | RTLD_LOCAL);
    void *(*pointer)(void) = plugin ? (void *(*)(void))dlsym(plugin, "mixed_plug_pointer") : 0;
    if (!pointer || pointer() != expected) bad++;
    long begun = __atomic_load_n(&after, __ATOMIC_SEQ_CST);
    __atomic_store_n(&phase, OPEN, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&after, __ATOMIC_SEQ_CST) < begun + 500) sched_yield();
    __atomic_store_n(&phase, CLOSED, __ATOMIC_SEQ_CST);
    for (int i = 0; i < THREADS; i++)
        while (__atomic_load_n(&inside[i], __ATOMIC_SEQ_CST)) sched_yield();
    if (!plugin || dlclose(plugin)) bad++;
}
int main(void) {
    long (*volatile pointer)(long, long) = leaf_add;
    long wrong = 0;
    for (int i = 0; i < CALLS; i++) {
        wrong += direct(i) != i + 1;
        wrong += mixed_call(i) != i + 1;
        wrong += mixed_jump(i) != i + 1;
        wrong += noplt_call(i) != i + 1;
        wrong += noplt_jump(i) != i + 1;
    }
    pthread_t threads[THREADS];
    for (long i = 0; i < THREADS; i++) pthread_create(&threads[i], 0, worker, (void *)i);
    for (int i = 0; i < ROUNDS; i++) round_of((void *)pointer);
    __atomic_store_n(&phase, OVER, __ATOMIC_SEQ_CST);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], 0);
    Dl_info info;
    int named = dladdr((void *)pointer, &info) && info.dli_saddr == (void *)pointer;
    printf("linkage table %d, none %d, named %d\n", (void *)pointer == mixed_pointer(),
           (void *)pointer == noplt_pointer(), named);
    printf("wrong %ld bad %ld\n", wrong, bad);
    truth_calls("leaf_add", CALLS);
    truth_line("inner", "libmixed.so:leaf_add", 2 * CALLS);
    truth_line("inner", "libmixednoplt.so:leaf_add", 2 * CALLS);
    truth_line("inner-at-least", "libmixedplug.so:leaf_add", after);
    return pointer(1, 1) != 2;
}

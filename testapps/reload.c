/* dlopen, dlsym, call, dlclose in a loop: the plugin is unloaded and loaded again each time, found
 * through the RUNPATH of the library that opens it; several threads in turn.
 * needs: opener leaf
 * loads: plug
 * build: -pthread */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include "truth.h"
void *open_plugin(void);
enum { ROUNDS = 200, CALLS = 20 };
static long bad, total;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static void *loader(void *unused) {
    for (int i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&turn);
        void *plugin = open_plugin();
        if (!plugin) {
            bad++;
            pthread_mutex_unlock(&turn);
            continue;
        }
        long (*run)(long) = (long (*)(long))dlsym(plugin, "plug_run");
        for (int call = 0; call < CALLS; call++) {
            bad += run(0) != call + 1;
            total++;
        }
        bad += dlclose(plugin) != 0;
        pthread_mutex_unlock(&turn);
    }
    return unused;
}
int main(void) {
    pthread_t threads[2];
    bad += dlopen("libplug.so", RTLD_NOW) != 0; /* Not on the executable's own path. */
    bad += dlerror() == 0;
    for (int i = 0; i < 2; i++) pthread_create(&threads[i], 0, loader, 0);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], 0);
    truth_calls("plug_run", total);
    truth_calls("open_plugin", 2 * ROUNDS);
    truth_calls("dlsym", 2 * ROUNDS);
    truth_calls("dlclose", 2 * ROUNDS);
    truth_line("inner", "libplug.so:leaf_add", total);
    printf("bad %ld total %ld\n", bad, total);
    return 0;
}

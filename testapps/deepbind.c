/* The same library loaded with and without RTLD_DEEPBIND must bind as the loader says.
 * needs: leaf
 * loads: deep
 * build: -D_GNU_SOURCE -Wl,--no-as-needed */
#include <dlfcn.h>
#include <stdio.h>
#include "truth.h"
long leaf_add(long, long);
static long with(int flags) {
    void *library = dlopen("libdeep.so", RTLD_LAZY | flags);
    if (!library) return -1;
    long (*sum)(long) = (long (*)(long))dlsym(library, "deep_sum");
    long result = 0;
    for (int i = 0; i < 100; i++) result += sum(i);
    dlclose(library);
    return result;
}
int main(void) {
    printf("own %ld\n", leaf_add(1, 1));
    printf("plain %ld\n", with(0));
    printf("deep %ld\n", with(RTLD_DEEPBIND));
    truth_calls("leaf_add", 1);
    return 0;
}

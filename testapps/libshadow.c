/* Stands in for leaf_add and finds the next definition with RTLD_NEXT, which depends on who asks.
 * build: -D_GNU_SOURCE
 * needs: leaf */
#include <dlfcn.h>
static int shadowed;
long leaf_add(long a, long b) {
    static long (*next)(long, long);
    if (!next) next = (long (*)(long, long))dlsym(RTLD_NEXT, "leaf_add");
    shadowed++;
    return next(a, b) + 1000;
}
int shadow_count(void) { return shadowed; }

/* dlsym with RTLD_NEXT, RTLD_DEFAULT and a handle, from the executable and from a library that
 * stands in for another's function; dlvsym and a symbol that does not exist.
 * needs: shadow leaf
 * build: -D_GNU_SOURCE */
#include <dlfcn.h>
#include <stdio.h>
#include "truth.h"
long leaf_add(long, long);
int shadow_count(void);
int main(void) {
    long sum = 0;
    for (int i = 0; i < 1000; i++) sum += leaf_add(i, 1);
    long (*first)(long, long) = (long (*)(long, long))dlsym(RTLD_DEFAULT, "leaf_add");
    long (*after)(long, long) = (long (*)(long, long))dlsym(RTLD_NEXT, "leaf_add");
    sum += first(1, 1) + after(1, 1);
    void *own = dlopen(0, RTLD_NOW);
    long (*mine)(long, long) = (long (*)(long, long))dlsym(own, "leaf_add");
    sum += mine(2, 2);
    printf("missing %d", dlsym(RTLD_DEFAULT, "no_such_function") == 0);
    printf(" said %d\n", dlerror() != 0);
    printf("versioned %d\n", dlvsym(RTLD_DEFAULT, "memcpy", "GLIBC_2.14") != 0);
    printf("data %d\n", dlsym(RTLD_DEFAULT, "environ") == (void *)&environ);
    truth_calls("shadow_count", 1);
    printf("sum %ld shadowed %d\n", sum, shadow_count());
    return 0;
}

/* Calls two versions of one function; each must reach its own, and be counted as its own.
 * needs: two
 * build: -D_GNU_SOURCE */
#include <dlfcn.h>
#include <stdio.h>
#include "truth.h"
int old_api(int);
int new_api(int);
__asm__(".symver old_api, api@V1");
__asm__(".symver new_api, api@V2");
int main(void) {
    long old_sum = 0, new_sum = 0;
    for (int i = 0; i < 1000; i++) old_sum += old_api(i);
    for (int i = 0; i < 3000; i++) new_sum += new_api(i);
    truth_calls("api", 4000);
    printf("old %ld new %ld\n", old_sum, new_sum);
    return 0;
}

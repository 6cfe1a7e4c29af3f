/* A function has one address: the same in every component, in the library's own eyes and by dlsym,
 * while the same function is also called directly.
 * needs: identity leaf
 * build: -D_GNU_SOURCE */
#include <dlfcn.h>
#include <stdio.h>
#include "truth.h"
void leaf(void);
void *identity_puts(void);
void *identity_leaf(void);
int main(void) {
    void (*volatile pointer)(void) = leaf;
    int (*volatile put)(const char *) = puts;
    for (int i = 0; i < 1000; i++) leaf();
    printf("puts %d\n", (void *)put == identity_puts());
    printf("leaf %d\n", (void *)pointer == identity_leaf());
    Dl_info info;
    printf("named %d\n", dladdr((void *)pointer, &info) && info.dli_sname &&
                             info.dli_sname[0] == 'l');
    put("called");
    truth_calls("identity_puts", 1);
    truth_calls("identity_leaf", 1);
    return 0;
}

/* Opens the plugin by its bare name: found only through this library's own RUNPATH.
 * build: -D_GNU_SOURCE -Wl,-rpath,$ORIGIN/plugins -Wl,--enable-new-dtags */
#include <dlfcn.h>
void *open_plugin(void) { return dlopen("libplug.so", RTLD_NOW | RTLD_LOCAL); }

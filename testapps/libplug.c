/* A plugin: loaded by dlopen, calls the library below it, keeps a count that a reload clears.
 * place: plugins
 * needs: leaf */
long leaf_add(long, long);
static long calls;
__thread long plug_local = 7;
long plug_run(long value) {
    calls = leaf_add(calls, 1);
    plug_local++;
    return value + calls + plug_local - plug_local;
}

/* A plugin that calls and looks at a function. Its constructor hands out what calls it, so that
 * threads are in it before dlopen has returned.
 * needs: leaf */
long leaf_add(long, long);
void mixed_register(long (*run)(long));
void *mixed_plug_pointer(void) { return (void *)leaf_add; }
static long run(long value) {
    long sum = leaf_add(value, 1);
    __asm__ volatile("");
    return sum;
}
__attribute__((constructor)) static void begin(void) { mixed_register(run); }

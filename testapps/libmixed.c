/* Calls and looks at the same function: with a linkage table, the linker makes one slot of both. */
long leaf_add(long, long);
void *mixed_pointer(void) { return (void *)leaf_add; }
long mixed_call(long value) {
    long sum = leaf_add(value, 1);
    __asm__ volatile("");
    return sum;
}
long mixed_jump(long value) { return leaf_add(value, 1); }

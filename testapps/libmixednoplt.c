/* The same without a linkage table: calls and jumps stand in the functions themselves.
 * build: -fno-plt */
long leaf_add(long, long);
void *noplt_pointer(void) { return (void *)leaf_add; }
long noplt_call(long value) {
    long sum = leaf_add(value, 1);
    __asm__ volatile("");
    return sum;
}
long noplt_jump(long value) { return leaf_add(value, 1); }

/* An indirect function: which body runs is chosen when it is bound. */
static long plain(long value) { return value + 1; }
static long (*choose(void))(long) { return plain; }
long chosen(long value) __attribute__((ifunc("choose")));

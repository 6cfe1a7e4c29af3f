/* Has its own leaf_add and calls it by name: with RTLD_DEEPBIND its own wins, else the first.
 * needs: leaf */
long leaf_add(long a, long b) { return 5000 + a + b; }
long deep_sum(long a) { return leaf_add(a, 1); }

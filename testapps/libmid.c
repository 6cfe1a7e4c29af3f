/* The middle of a call path: calls down into libleaf, and back into whoever gave a function.
 * needs: leaf */
long leaf_add(long, long);
void leaf(void);
long mid(long value) {
    leaf();
    return leaf_add(value, 1) * 2;
}
long mid_call(long (*back)(long), long value) { return back(value) + 1; }

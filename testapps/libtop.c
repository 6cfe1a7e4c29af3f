/* The top of a call path: calls libmid, which calls libleaf.
 * needs: mid */
long mid(long);
long mid_call(long (*)(long), long);
long top(long value) { return mid(value) + mid(value + 1); }
long top_call(long (*back)(long), long value) { return mid_call(back, value) + 1; }

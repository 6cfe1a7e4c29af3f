/* Calls its own exported function through its own procedure linkage table. */
int self_inner(int value) { return value + 1; }
int self_outer(int value) { return self_inner(value) + self_inner(value); }

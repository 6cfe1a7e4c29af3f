/* Does nothing and calls nothing: a recording of it has to explain why it is empty. */
int main(void) { return 0; }

/* Calls at the edges of a process's life: in its constructor and its destructor.
 * needs: leaf */
void leaf(void);
__attribute__((constructor)) static void begin(void) {
    for (int i = 0; i < 11; i++) leaf();
}
__attribute__((destructor)) static void end(void) {
    for (int i = 0; i < 13; i++) leaf();
}
void late_touch(void) {}

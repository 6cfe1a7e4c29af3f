/* A library above another: what it asks for reaches the kernel three components further down.
 * needs: known */
long known_mov(void), known_write(int, const char *, long);
long outer_save(int fd, const char *text, long size) {
    long written = known_write(fd, text, size);
    return written == size && known_mov() > 0 ? written : -1;
}

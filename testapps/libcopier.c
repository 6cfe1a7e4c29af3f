/* The same job done in three ways: copies a file through stdio, by read and write, and by a
 * mapping of both.
 * build: -D_GNU_SOURCE */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
static char block[65536];
int copy_stdio(const char *from, const char *to) {
    FILE *in = fopen(from, "r"), *out = fopen(to, "w");
    size_t size, written = 0;
    while (in && out && (size = fread(block, 1, 1000, in)) > 0) written += fwrite(block, 1, size, out);
    return !in || !out || fclose(in) | fclose(out) | !written;
}
int copy_raw(const char *from, const char *to) {
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    ssize_t size, written = 0;
    while ((size = read(in, block, sizeof block)) > 0) written += write(out, block, size);
    return size < 0 || !written || close(in) | close(out);
}
int copy_mapped(const char *from, const char *to) {
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    struct stat status;
    if (fstat(in, &status) || ftruncate(out, status.st_size)) return 1;
    void *source = mmap(0, status.st_size, PROT_READ, MAP_PRIVATE, in, 0);
    void *target = mmap(0, status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, out, 0);
    if (source == MAP_FAILED || target == MAP_FAILED) return 1;
    memcpy(target, source, status.st_size);
    return munmap(source, status.st_size) | munmap(target, status.st_size) | close(in) | close(out);
}

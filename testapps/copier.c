/* Copies a file of so many MiB (first argument) in three ways, so that their footprints can be
 * laid side by side.
 * needs: copier
 * build: -D_GNU_SOURCE */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "truth.h"
int copy_stdio(const char *, const char *), copy_raw(const char *, const char *);
int copy_mapped(const char *, const char *);
static int same(const char *left, const char *right, long size) {
    static char a[1 << 20], b[1 << 20];
    int one = open(left, O_RDONLY), two = open(right, O_RDONLY), fine = 1;
    for (; size > 0; size -= 1 << 20)
        fine &= read(one, a, sizeof a) == 1 << 20 && read(two, b, sizeof b) == 1 << 20 &&
                !memcmp(a, b, sizeof a);
    close(one), close(two);
    return fine;
}
int main(int argc, char **argv) {
    long size = (argc > 1 ? atol(argv[1]) : 1) << 20;
    char directory[] = "/tmp/copier-XXXXXX", from[64], to[64], block[4096];
    if (!mkdtemp(directory)) return 2;
    snprintf(from, sizeof from, "%s/from", directory);
    snprintf(to, sizeof to, "%s/to", directory);
    int fd = open(from, O_WRONLY | O_CREAT, 0644), wrong = 0;
    for (long at = 0; at < size; at += sizeof block) {
        memset(block, (int)(at >> 12), sizeof block);
        wrong += write(fd, block, sizeof block) != sizeof block;
    }
    close(fd);
    wrong += copy_stdio(from, to) || !same(from, to, size);
    wrong += copy_raw(from, to) || !same(from, to, size);
    wrong += copy_mapped(from, to) || !same(from, to, size);
    unlink(from), unlink(to), rmdir(directory);
    printf("wrong %d\n", wrong);
    truth_calls("copy_stdio", 1);
    truth_line("size", "bytes", size);
    return wrong;
}

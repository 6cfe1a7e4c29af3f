/* System calls that fail, in known numbers by errno, among others that do not. Truth: "errno
 * NAME:ERRNO N", and "syscall" as in known.c.
 * build: -D_GNU_SOURCE */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "truth.h"
static long wrong;
static void expect(long result, int error) {
    if (error ? result != -1 || errno != error : result < 0) wrong++;
}
int main(void) {
    int ends[2];
    char byte = 'x';
    expect(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
    for (int i = 0; i < 300; i++) expect(open("/no/such/file", O_RDONLY), ENOENT);
    for (int i = 0; i < 70; i++) expect(open("/proc/self/stat/file", O_RDONLY), ENOTDIR);
    for (int i = 0; i < 200; i++) expect(read(ends[0], &byte, 1), EAGAIN);
    for (int i = 0; i < 100; i++) expect(read(-1, &byte, 1), EBADF);
    for (int i = 0; i < 50; i++) {
        expect(write(ends[1], &byte, 1), 0);
        expect(read(ends[0], &byte, 1), 0);
    }
    for (int i = 0; i < 40; i++) expect(close(-1), EBADF);
    /* As many kinds of errors as a cell has room to tell apart. */
    struct stat status;
    for (int i = 0; i < 10; i++) {
        expect(readlink("/no/such/file", &byte, 1), ENOENT);
        expect(readlink("/proc", &byte, 1), EINVAL);
        expect(readlink("/proc/self/stat/file", &byte, 1), ENOTDIR);
        expect(readlink("", &byte, 1), ENOENT);
        expect(readlink((const char *)8, &byte, 1), EFAULT);
        expect(readlink("/proc/self/exe", &byte, 0), EINVAL);
        expect(stat("/", &status), 0);
    }
    close(ends[0]), close(ends[1]);
    printf("wrong %ld\n", wrong);
    truth_line("errno", "openat:2", 300);
    truth_line("errno", "openat:20", 70);
    truth_line("errno", "read:11", 200);
    truth_line("errno", "read:9", 100);
    truth_line("errno", "close:9", 40);
    truth_line("errno", "readlink:2", 20);
    truth_line("errno", "readlink:22", 20);
    truth_line("errno", "readlink:20", 10);
    truth_line("errno", "readlink:14", 10);
    truth_line("syscall", "open:openat", 370);
    truth_line("syscall", "read:read", 350);
    truth_line("syscall", "write:write", 50);
    truth_line("syscall", "close:close", 42);
    truth_line("syscall", "readlink:readlink", 60);
    truth_line("syscall", "stat:newfstatat", 10);
    truth_line("bytes", "read:read", 50);
    truth_line("bytes", "write:write", 50);
    return wrong != 0;
}

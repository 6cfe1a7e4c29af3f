/* Functions that each make known system calls: by instructions of their own in several shapes, by
 * functions of the C library, by the C library's `syscall`, and through a pointer.
 * build: -D_GNU_SOURCE */
#include <unistd.h>
#include "raw.h"
/* The function's address is only data here, so that a call through it is no call of an API. */
static pid_t (*volatile pointer)(pid_t) = getsid;
long known_mov(void) { return RAW_MOV(SYS_getppid, 0, 0, 0); }
long known_far(void) { return RAW_FAR(SYS_getppid, 0, 0, 0); }
long known_register(void) { return RAW_REGISTER(SYS_getppid, 0, 0, 0); }
long known_xor(int fd, char *to) { return RAW_XOR_READ(fd, to, 1); }
long known_libc(void) { return getppid(); }
long known_number(void) { return syscall(SYS_getppid); }
long known_pointer(void) { return pointer(0); }
long known_write(int fd, const char *text, long size) { return write(fd, text, size); }
/* Two different system calls of its own around one of the C library. */
long known_three(int fd) {
    long first = RAW_MOV(SYS_getuid, 0, 0, 0);
    long second = lseek(fd, 0, SEEK_CUR);
    return first + second + RAW_MOV(SYS_getgid, 0, 0, 0);
}

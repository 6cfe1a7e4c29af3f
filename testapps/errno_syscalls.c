/* errno around system calls: a successful one leaves it alone, a failing one sets it to what the
 * kernel said, and one made by an instruction of the program never touches it.
 * needs: known
 * build: -D_GNU_SOURCE */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include "raw.h"
#include "truth.h"
enum { ROUNDS = 3000 };
long known_mov(void), known_libc(void), known_xor(int, char *), known_write(int, const char *, long);
static long wrong;
static void expect(int fine, int error) { wrong += !fine || errno != error; }
int main(void) {
    char byte, *volatile nowhere = (char *)8;
    int zero = open("/dev/zero", O_RDWR | O_CLOEXEC);
    for (int i = 0; i < ROUNDS; i++) {
        errno = 1000 + i;
        expect(known_mov() > 0 && known_libc() > 0, 1000 + i);
        expect(read(zero, &byte, 1) == 1 && known_write(zero, "a", 1) == 1, 1000 + i);
        expect(known_xor(-1, &byte) == -EBADF, 1000 + i);
        expect(RAW_MOV(SYS_close, -1L, 0, 0) == -EBADF, 1000 + i);
        expect(known_write(-1, "a", 1) == -1, EBADF);
        expect(known_mov() > 0, EBADF);
        expect(open("/no/such/file", O_RDONLY) == -1, ENOENT);
        expect(kill(getpid(), 12345) == -1, EINVAL);
        expect(munmap((void *)1, 4096) == -1, EINVAL);
        expect(send(zero, &byte, 1, 0) == -1, ENOTSOCK);
        expect(read(zero, nowhere, 1) == -1, EFAULT);
        expect(lseek(zero, 0, 99) == -1, EINVAL);
    }
    printf("wrong %ld\n", wrong);
    truth_line("syscall", "known_xor:read", ROUNDS);
    truth_line("syscall", "kill:kill", ROUNDS);
    truth_line("errno", "kill:22", ROUNDS);
    truth_line("errno", "sendto:88", ROUNDS);
    truth_line("errno", "write:9", ROUNDS);
    truth_line("errno", "munmap:22", ROUNDS);
    return wrong != 0;
}
